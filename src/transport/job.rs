//! Which task of which run a command belongs to: a mark in its environment, by which it is found again when the engine that
//! began it is gone.
//!
//! The name travels with the task that does the work, not through every call in between: a command that is begun within
//! [`within`] is marked, and its children inherit the mark.

/// The variable that marks a command and its children.
pub const VARIABLE: &str = "QUARTERDECK_JOB";

tokio::task_local! {
    static JOB: Job;
}

#[derive(Clone)]
struct Job {
    /// The beginning of its commands' marks: run and task.
    mark: String,
    /// The beginning of its spools' names: the run that was begun first, of those that took each other up, and the task.
    spool: String,
}

/// Does `work` in the name of a task: what it begins is marked with the `run` and its `task`. `first` is the run that it
/// carries on in the end, itself when it takes up none: what was detached in an earlier one is found under its name.
pub async fn within<F: Future>(run: &str, first: &str, task: &str, work: F) -> F::Output {
    let plain = plain(task);
    let job = Job {
        mark: format!("{run}.{plain}."),
        spool: format!("{first}.{plain}"),
    };
    JOB.scope(job, work).await
}

/// The name of a task as it stands in marks: marks go through a shell and through grep.
pub fn plain(task: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@');
    let plain = task.chars().map(|c| if is_plain(c) { c } else { '_' });
    plain.collect()
}

/// The name of the spool of a task's detached command; `position` tells several within one task apart. The same after a
/// crash, in the run that takes this one up; nobody's own outside of a task.
pub fn spool(position: u32) -> String {
    let job = JOB.try_with(|job| job.spool.clone());
    let job = job.unwrap_or_else(|_| format!("alone.{:016x}", fastrand::u64(..)));
    format!("{job}.{position}")
}

/// A mark for one command: unique, and begins with the run and the task it belongs to, when there are any.
pub fn mark() -> String {
    let job = JOB.try_with(|job| job.mark.clone()).unwrap_or_default();
    format!("{job}{:016x}", fastrand::u64(..))
}

/// Lists on standard output what still runs of the run that is the first argument: clock ticks a second, the second of the
/// boot, then a line for each process with its id, its line of `/proc/PID/stat`, its mark and its command line.
pub const FIND: &str = r#"getconf CLK_TCK || echo 100
sed -n 's/^btime //p' /proc/stat
for e in $(grep -ls "QUARTERDECK_JOB=$1[.]" /proc/[0-9]*/environ); do
  p=${e#/proc/}; p=${p%/environ}
  m=$(tr '\0' '\n' < "$e" | sed -n 's/^QUARTERDECK_JOB=//p')
  s=$(cat "/proc/$p/stat") || continue
  c=$(tr '\0\t\n' '   ' < "/proc/$p/cmdline")
  printf '%s\t%s\t%s\t%s\n' "$p" "$s" "$m" "$c"
done 2>/dev/null
:"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_is_marked_with_the_run_and_the_task_it_is_begun_in() {
        assert_eq!(mark().len(), 16);
        let both = async { (mark(), spool(2)) };
        let (marked, spool) = within("0199", "0042", "install@pc 1'$", both).await;
        assert!(marked.starts_with("0199.install@pc_1__."), "{marked}");
        assert_eq!(spool, "0042.install@pc_1__.2");
        assert_ne!(mark(), mark());
    }
}
