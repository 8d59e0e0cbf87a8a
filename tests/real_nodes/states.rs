//! Accounts, texts, names and packages on a real Debian: looked at, brought about, brought about again, taken back; and cut
//! off in the middle.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quarterdeck::domain::plan::{Origin, PlanRequest};
use quarterdeck::domain::recipe::Recipe;
use quarterdeck::domain::run::{RunState, Stream};
use quarterdeck::steps::Library;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::nodes::{Cockpit, Nodes};

/// A package and a repository with nothing else in it.
const REPOSITORY: &str = r"
set -e
mkdir -p /tmp/hello/DEBIAN /tmp/hello/usr/share/hello /srv/repository
printf 'Package: quarterdeck-hello\nVersion: 1.0-1\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: test\n' \
  > /tmp/hello/DEBIAN/control
echo hello > /tmp/hello/usr/share/hello/hello
dpkg-deb --root-owner-group --build /tmp/hello /srv/repository/hello.deb >/dev/null
cd /srv/repository
{ dpkg-deb -f hello.deb; echo 'Filename: ./hello.deb'; echo Size: $(stat -c %s hello.deb)
  echo SHA256: $(sha256sum < hello.deb | cut -d' ' -f1); } > Packages
{ echo Date: $(date -u '+%a, %d %b %Y %H:%M:%S UTC'); echo SHA256:
  echo ' '$(sha256sum < Packages | cut -d' ' -f1) $(stat -c %s Packages) Packages; } > Release
cat Release
";

/// All that the recipe may change. The copies that the shadow suite keeps of its own files are its business, and the home
/// directory of a user that is taken back stays, as the plan of the undo says.
const PICTURE: &str = r"
cd /
{ find etc home -name '*-' -o -name .pwd.lock -o -path home/deploy -prune -o -printf '%y %m %u %g %p %l\n'
  find etc -type f ! -name '*-' ! -name .pwd.lock -exec sha256sum {} +; } | sort
hostname; date +%Z; dpkg-query -W; apt-mark showhold
";

/// A key pair of `GnuPG` that is gone with the test.
struct Signer(tempfile::TempDir);

impl Signer {
    fn new() -> Self {
        let signer = Self(tempfile::tempdir().unwrap());
        let identity = "Repository <test@example.org>";
        signer.gpg(
            &[
                "--passphrase",
                "",
                "--quick-gen-key",
                identity,
                "ed25519",
                "sign",
                "never",
            ],
            None,
        );
        signer
    }

    fn gpg(&self, arguments: &[&str], file: Option<&Path>) -> String {
        let output = Command::new("gpg")
            .arg("--homedir")
            .arg(self.0.path())
            .args(["--batch", "--quiet", "--yes"])
            .args(arguments)
            .args(file)
            .output()
            .expect("gpg is installed");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn key(&self) -> String {
        self.gpg(&["--armor", "--export"], None)
    }

    fn fingerprint(&self) -> String {
        let listed = self.gpg(&["--with-colons", "--fingerprint"], None);
        let line = listed
            .lines()
            .find(|line| line.starts_with("fpr:"))
            .unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    fn sign(&self, text: &str) -> String {
        let file = self.0.path().join("text");
        std::fs::write(&file, text).unwrap();
        self.gpg(&["--clearsign", "--output", "-"], Some(&file))
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let agent = Command::new("gpgconf")
            .args(["--kill", "all"])
            .env("GNUPGHOME", self.0.path())
            .status();
        agent.expect("gpgconf is installed");
    }
}

fn library() -> Vec<Recipe> {
    let recipes = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/real_nodes/states/recipes");
    let library = Library::load(Some(&recipes));
    assert_eq!(library.problems(), []);
    library.recipes().cloned().collect()
}

fn request(recipe: &str, params: &serde_json::Value) -> PlanRequest {
    PlanRequest {
        environment: "real".into(),
        recipe: recipe.into(),
        params: serde_json::from_value(params.clone()).unwrap(),
        nodes: vec!["n1".into()],
        ..PlanRequest::default()
    }
}

fn shell(nodes: &Nodes, script: &str) -> String {
    nodes
        .exec("n1", &["sh", "-c", script])
        .unwrap_or_else(|| panic!("{script} fails"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn many_states_are_brought_about_once_and_taken_back() {
    let nodes = Nodes::from_environment();
    let cockpit = Cockpit::with_recipes(&nodes, library()).await;
    let signer = Signer::new();
    let release = shell(&nodes, REPOSITORY);
    let signed = signer.sign(&release);
    nodes
        .exec(
            "n1",
            &[
                "sh",
                "-c",
                "printf %s \"$1\" > /srv/repository/InRelease",
                "sh",
                &signed,
            ],
        )
        .unwrap();
    let params = json!({
        "key": nodes.public_key(),
        "repository_key": signer.key(),
        "fingerprint": signer.fingerprint(),
    });
    let states = request("states", &params);
    let before = shell(&nodes, PICTURE);

    // Looking changes nothing and shows what would change, templates rendered.
    let looked = cockpit
        .carry_out(PlanRequest {
            dry_run: true,
            ..states.clone()
        })
        .await;
    assert_eq!(looked.run.state, RunState::Succeeded, "{looked}");
    assert_eq!(looked.run.tally.changed, 4, "{looked}");
    assert!(looked.says(Stream::Diff, "+# n1 of real"), "{looked}");
    assert!(
        looked.says(Stream::Diff, "+UMASK           027"),
        "{looked}"
    );
    assert_eq!(
        shell(&nodes, PICTURE),
        before,
        "the rehearsal left something"
    );

    // For real, and the node itself says so.
    let made = cockpit.carry_out(states.clone()).await;
    assert_eq!(made.run.state, RunState::Succeeded, "{made}");
    assert_eq!(
        shell(
            &nodes,
            "id deploy; getent passwd deploy; hostname; cat /etc/hostname; date -d 2026-01-15 +%Z; getent hosts registry"
        ),
        "uid=1500(deploy) gid=1500(deploy) groups=1500(deploy),27(sudo)\n\
         deploy:x:1500:1500:Deploys things:/home/deploy:/bin/bash\nn1-renamed\nn1-renamed\nCET\n\
         10.77.0.99      registry.lan registry\n"
    );
    assert_eq!(
        shell(
            &nodes,
            "stat -c '%a %U:%G' /etc/app/app.conf /home/deploy/.ssh/authorized_keys"
        ),
        "640 root:deploy\n600 deploy:deploy\n"
    );
    assert_eq!(
        shell(&nodes, "apt-mark showhold; cat /usr/share/hello/hello"),
        "quarterdeck-hello\nhello\n"
    );
    shell(&nodes, "sshd -t && grep -c peer /etc/app/app.conf");
    assert!(
        made.says(
            Stream::Note,
            "the old /etc/login.defs is kept as /var/lib/quarterdeck/undo/"
        ),
        "{made}"
    );

    // Again: nothing to do, and nothing is done.
    let there = shell(&nodes, PICTURE);
    let again = cockpit.carry_out(states).await;
    assert_eq!(again.run.state, RunState::Succeeded, "{again}");
    assert_eq!(again.run.tally.changed, 0, "{again}");
    assert_eq!(shell(&nodes, PICTURE), there);

    // Back: everything is as it was, and what stays was said.
    let undo = PlanRequest {
        origin: Some(Origin::Undo {
            run: made.run.id,
            force: false,
        }),
        ..request("states", &json!({}))
    };
    let undone = cockpit.carry_out(undo).await;
    assert_eq!(undone.run.state, RunState::Succeeded, "{undone}");
    let after = shell(&nodes, PICTURE);
    let differing: Vec<&str> = before
        .lines()
        .filter(|line| !after.contains(line))
        .chain(after.lines().filter(|line| !before.contains(line)))
        .collect();
    assert_eq!(differing, [] as [&str; 0], "{undone}");
    assert_eq!(nodes.exec("n1", &["ls", "/home/deploy/.ssh"]), None);

    cockpit.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn what_is_cut_off_in_the_middle_is_old_or_new_and_finished_by_the_next_run() {
    let nodes = Nodes::from_environment();
    let cockpit = Cockpit::with_recipes(&nodes, library()).await;
    let write = |letter: &str| request("big", &json!({ "letter": letter }));
    let sum = |letter: &str| quarterdeck::domain::hex(&Sha256::digest(letter.repeat(900_000)));
    let first = cockpit.carry_out(write("a")).await;
    assert_eq!(first.run.state, RunState::Succeeded, "{first}");

    for (cut, mend, old, new) in [("cut", "heal", "a", "b"), ("kill", "start", "b", "c")] {
        // The note comes right before the file is replaced.
        let running = cockpit.start_run(write(new)).await;
        cockpit
            .until_says(&running, "the old /srv/big/whole is kept as")
            .await;
        nodes.power(cut, "n1");
        let ended = cockpit.end(running).await;
        nodes.power(mend, "n1");
        let whole = shell(&nodes, "sha256sum < /srv/big/whole | cut -d' ' -f1");
        assert!(
            [sum(old), sum(new)].contains(&whole.trim().to_owned()),
            "{cut}: half a file; {ended}"
        );

        let next = cockpit.carry_out(write(new)).await;
        assert_eq!(next.run.state, RunState::Succeeded, "{cut}: {next}");
        assert_eq!(
            shell(&nodes, "sha256sum < /srv/big/whole | cut -d' ' -f1").trim(),
            sum(new)
        );
        assert_eq!(
            shell(&nodes, "cat /srv/big/last; ls -A /srv/big"),
            format!("{new}\nlast\nwhole\n")
        );
        let again = cockpit.carry_out(write(new)).await;
        assert_eq!(again.run.tally.changed, 0, "{cut}: {again}");
    }
    cockpit.stop(Duration::from_secs(10)).await;
}
