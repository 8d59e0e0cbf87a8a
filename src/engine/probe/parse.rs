//! The texts that nodes answer with, as values. Pure and tolerant: a line that is not understood is passed over.

use crate::domain::live::NodeSample;

/// Temperatures outside of this are a sensor's way of saying that it has none, degrees Celsius.
const PLAUSIBLE: std::ops::RangeInclusive<f32> = -40.0..=150.0;

/// Reads what `cat` printed of the sample files (proc(5), the kernel's thermal sysfs) and returns the boot id.
///
/// The files follow each other without a mark between them, and any may be missing, so each line is known by its shape:
/// two numbers are the uptime, three numbers and a fraction the load, `Name: n kB` is memory, 36 characters in five groups
/// are the boot id, and a whole number alone is a temperature in thousandths of a degree.
pub(super) fn sample(text: &str, into: &mut NodeSample) -> Option<String> {
    let mut boot_id = None;
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            [key, value, ..] if key.ends_with(':') => memory(key, value, into),
            [uptime, idle] => {
                if let (Some(uptime), Some(_)) = (seconds(uptime), seconds(idle)) {
                    into.uptime = uptime;
                }
            }
            [one, five, fifteen, tasks, _] if tasks.contains('/') => {
                let load = [one, five, fifteen].map(|number| number.parse::<f32>().ok());
                if let [Some(one), Some(five), Some(fifteen)] = load
                    && [one, five, fifteen].iter().all(|load| load.is_finite())
                {
                    into.load = [one, five, fifteen];
                }
            }
            [word] => {
                if uuid::Uuid::try_parse(word).is_ok() && word.len() == 36 {
                    boot_id = Some((*word).to_owned());
                } else if let Ok(thousandths) = word.parse::<i32>() {
                    let celsius = thousandths as f32 / 1000.0;
                    if PLAUSIBLE.contains(&celsius)
                        && into.temperature.is_none_or(|other| other < celsius)
                    {
                        into.temperature = Some(celsius);
                    }
                }
            }
            _ => {}
        }
    }
    boot_id
}

fn seconds(number: &str) -> Option<u64> {
    number.split('.').next()?.parse().ok()
}

fn memory(key: &str, value: &str, into: &mut NodeSample) {
    let Some(bytes) = value
        .parse::<u64>()
        .ok()
        .and_then(|kib| kib.checked_mul(1024))
    else {
        return;
    };
    match key {
        "MemTotal:" => into.memory_total = bytes,
        "MemAvailable:" => into.memory_available = bytes,
        // Kernels before 3.14 do not say what is available; what is free is the least it can be.
        "MemFree:" if into.memory_available == 0 => into.memory_available = bytes,
        _ => {}
    }
}

/// Size and used part of the file system, bytes, from `df -P -k` (POSIX: blocks of 1024 bytes, one line per file system).
pub(super) fn disk(text: &str) -> Option<(u64, u64)> {
    // The header is the line whose second word is no number.
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let total: u64 = words.next()?.parse().ok()?;
        let used: u64 = words.next()?.parse().ok()?;
        Some((total.checked_mul(1024)?, used.checked_mul(1024)?))
    })
}

/// Names of failed units from `systemctl list-units --failed --plain --no-legend`.
pub(super) fn units(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            // Older versions mark failed units with a dot in spite of --plain.
            line.split_ascii_whitespace()
                .find(|word| !matches!(*word, "●" | "*" | "×"))
        })
        .filter(|name| name.contains('.'))
        .map(printable)
        .collect()
}

/// `PRETTY_NAME` of os-release(5) and the board's model, from what `cat` printed of the fact files.
pub(super) fn facts(text: &str) -> (String, Option<String>) {
    let mut os = String::new();
    let mut name = String::new();
    let mut model = None;
    for line in text.lines() {
        match line.split_once('=') {
            Some(("PRETTY_NAME", value)) => os = unquote(value),
            Some(("NAME", value)) => name = unquote(value),
            Some((key, _)) if is_key(key) => {}
            _ => {
                let line = self::line(line);
                if !line.is_empty() && !line.starts_with('#') {
                    model = Some(line);
                }
            }
        }
    }
    if os.is_empty() {
        os = name;
    }
    (os, model)
}

fn is_key(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn unquote(value: &str) -> String {
    let words = shlex::split(value.trim());
    printable(&words.map_or_else(|| value.trim().to_owned(), |words| words.join(" ")))
}

/// Kernel release and machine from `uname -srm`.
pub(super) fn uname(text: &str) -> Option<(String, String)> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    match words.as_slice() {
        [_, release, .., machine] => Some((printable(release), printable(machine))),
        _ => None,
    }
}

/// The first line without what does not print.
pub(super) fn line(text: &str) -> String {
    printable(text.lines().next().unwrap_or_default().trim())
}

fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const PI: &str = "\
402953.17 1583914.67
0.31 0.27 0.21 1/231 94127
3f0f5a3e-4a9b-4a53-b6d0-6a1f0f1f6f60
MemTotal:        8245284 kB
MemFree:          214532 kB
MemAvailable:    6871204 kB
Buffers:          103424 kB
HugePages_Total:       0
48850
51300
";

    fn read(text: &str) -> (NodeSample, Option<String>) {
        let mut sample = NodeSample::default();
        let boot_id = super::sample(text, &mut sample);
        (sample, boot_id)
    }

    #[test]
    fn a_raspberry_pi_tells_everything() {
        let (sample, boot_id) = read(PI);
        assert_eq!(sample.uptime, 402_953);
        assert_eq!(format!("{:?}", sample.load), "[0.31, 0.27, 0.21]");
        assert_eq!(sample.memory_total, 8_245_284 * 1024);
        assert_eq!(sample.memory_available, 6_871_204 * 1024);
        assert_eq!(sample.temperature, Some(51.3), "the hottest zone");
        assert_eq!(
            boot_id.as_deref(),
            Some("3f0f5a3e-4a9b-4a53-b6d0-6a1f0f1f6f60")
        );
    }

    #[rstest]
    #[case::nothing("")]
    #[case::no_proc("cat: /proc/uptime: No such file or directory\n")]
    #[case::one_word_too_many("1.0 2.0 3.0\n")]
    #[case::not_numbers("up down\nnan nan nan 1/2 3\n")]
    #[case::sensor_without_reading("-274000\n")]
    fn a_host_that_lacks_them_leaves_everything_unknown(#[case] text: &str) {
        assert_eq!(read(text), (NodeSample::default(), None));
    }

    #[test]
    fn an_old_kernel_says_free_memory_instead_of_available() {
        let (sample, _) = read("MemTotal: 1000 kB\nMemFree: 300 kB\n");
        assert_eq!(sample.memory_available, 300 * 1024);
    }

    #[rstest]
    #[case::coreutils(
        "Filesystem     1024-blocks    Used Available Capacity Mounted on\n/dev/mmcblk0p2    30366420 8123456  20938908      28% /\n"
    )]
    #[case::busybox(
        "Filesystem           1024-blocks    Used Available Use% Mounted on\noverlay               30366420   8123456  20938908  28% /\n"
    )]
    fn df_of_any_make_is_read(#[case] text: &str) {
        assert_eq!(disk(text), Some((30_366_420 * 1024, 8_123_456 * 1024)));
    }

    #[rstest]
    #[case("")]
    #[case("df: /: Permission denied\n")]
    #[case("Filesystem 1024-blocks Used\n/dev/sda1 99999999999999999999 1\n")]
    fn df_that_tells_nothing_is_unknown(#[case] text: &str) {
        assert_eq!(disk(text), None);
    }

    #[test]
    fn failed_units_are_listed_with_and_without_a_mark() {
        let text = "consul.service loaded failed failed Consul agent\n● apt-daily.service loaded failed failed Daily apt\n";
        assert_eq!(units(text), ["consul.service", "apt-daily.service"]);
        assert_eq!(units(""), [""; 0]);
    }

    #[test]
    fn os_release_and_the_boards_model_are_told_apart() {
        let text = "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nNAME=\"Ubuntu\"\n# a comment\nHOME_URL=\"https://www.ubuntu.com/\"\nRaspberry Pi 5 Model B Rev 1.0\0";
        assert_eq!(
            facts(text),
            (
                "Ubuntu 24.04.1 LTS".into(),
                Some("Raspberry Pi 5 Model B Rev 1.0".into())
            )
        );
        assert_eq!(facts("NAME=Alpine\n"), ("Alpine".into(), None));
        assert_eq!(facts(""), (String::new(), None));
    }

    #[test]
    fn uname_gives_release_and_machine() {
        assert_eq!(
            uname("Linux 6.8.0-1013-raspi aarch64\n"),
            Some(("6.8.0-1013-raspi".into(), "aarch64".into()))
        );
        assert_eq!(uname(""), None);
    }

    #[test]
    fn control_characters_do_not_pass() {
        assert_eq!(line("pc1\u{1b}[31m\u{7}\nrest"), "pc1[31m");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "(\\PC|[\\n\\t\\x00\\x1b :./=\"'0-9]){0,200}") {
            let _ = (read(&text), disk(&text), units(&text), facts(&text), uname(&text), line(&text));
        }
    }
}
