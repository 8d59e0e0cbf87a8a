use proptest::prelude::*;

use super::*;

/// A home directory with these files below `.ssh`, `config` being the one that is read.
struct Home(tempfile::TempDir);

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            home.write(name, text);
        }
        home
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(".ssh").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.path().join(".ssh/config")
    }

    fn find(&self, host: &str) -> Found {
        Config::read(&[self.file()], Some(self.0.path())).look_up(&asked(host))
    }
}

fn asked(host: &str) -> Asked {
    Asked {
        host: host.into(),
        user: None,
        local_user: "me".into(),
    }
}

fn word<'f>(found: &'f Found, keyword: &str) -> Option<&'f str> {
    found.word(keyword).map(|(word, _)| word)
}

#[test]
fn the_first_value_that_applies_counts_and_its_line_is_known() {
    let home = Home::new(&[(
        "config",
        "Port 1\nHost pc*\n  User a\n  Port 2\nHost pc1\n  User b\n",
    )]);
    let found = home.find("pc1");
    assert_eq!(word(&found, "port"), Some("1"));
    assert_eq!(word(&found, "user"), Some("a"));
    assert_eq!(found.word("user").unwrap().1.line, 3);
    assert_eq!(word(&home.find("other"), "user"), None);
}

#[test]
fn identity_files_add_up_in_their_order() {
    let home = Home::new(&[(
        "config",
        "IdentityFile a\nHost pc1\nIdentityFile b\nHost *\nIdentityFile c\n",
    )]);
    let found = home.find("pc1");
    let files: Vec<_> = found.all("identityfile").map(|(file, _)| file).collect();
    assert_eq!(files, ["a", "b", "c"]);
}

#[test]
fn a_host_that_is_excepted_is_not_meant() {
    let home = Home::new(&[("config", "Host * !bastion\n  ProxyJump bastion\n")]);
    assert_eq!(word(&home.find("pc1"), "proxyjump"), Some("bastion"));
    assert_eq!(word(&home.find("bastion"), "proxyjump"), None);
}

#[test]
fn match_sees_what_was_said_before_it() {
    let home = Home::new(&[(
        "config",
        "Host pc1\n  HostName %h.lan\n  User ops\nMatch host *.lan user ops\n  Port 7\nMatch host pc1\n  Port 8\n",
    )]);
    let found = home.find("pc1");
    assert_eq!(word(&found, "port"), Some("7"));
    assert_eq!(host_name(&found, "pc1"), "pc1.lan");
}

#[test]
fn a_block_that_cannot_be_judged_is_passed_over_and_that_is_said() {
    let home = Home::new(&[(
        "config",
        "Match exec \"touch /tmp/x\"\n  Port 7\nHost *\n  Port 8\n",
    )]);
    let found = home.find("pc1");
    assert_eq!(word(&found, "port"), Some("8"));
    let remark = found.remarks.first().unwrap();
    assert!(remark.ends_with("config:1: Match block passed over: `exec` would run a command"));
}

#[test]
fn included_files_hold_where_the_include_does_and_the_block_goes_on_after_them() {
    let home = Home::new(&[
        (
            "config",
            "Include global\nHost pc1\n  Include conf.d/*.conf\n  Port 3\n",
        ),
        ("global", "User all\n"),
        ("conf.d/b.conf", "Port 2\nHost pc2\n  Compression yes\n"),
        ("conf.d/a.conf", "Port 1\nHost other\n  Port 9\n"),
        ("conf.d/.hidden.conf", "Port 8\n"),
        ("conf.d/c.txt", "Port 7\n"),
    ]);
    let found = home.find("pc1");
    assert_eq!(word(&found, "user"), Some("all"));
    assert_eq!(
        word(&found, "port"),
        Some("1"),
        "files count in their order"
    );
    let other = home.find("other");
    assert_eq!(word(&other, "user"), Some("all"));
    assert_eq!(word(&other, "port"), None, "the block around does not hold");
}

#[test]
fn files_that_include_each_other_come_to_an_end() {
    let home = Home::new(&[("config", "Include config\nPort 5\n")]);
    let found = home.find("pc1");
    assert_eq!(word(&found, "port"), Some("5"));
    assert!(
        found
            .remarks
            .iter()
            .any(|remark| remark.contains("too deep"))
    );
}

#[test]
fn a_file_that_others_may_write_is_passed_over() {
    let home = Home::new(&[("config", "Port 5\n")]);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(home.file(), open).unwrap();
    let found = home.find("pc1");
    assert_eq!(word(&found, "port"), None);
    assert!(found.remarks.first().unwrap().contains("others may write"));
}

#[test]
fn a_mistake_in_a_line_is_told_and_costs_only_that_line() {
    let home = Home::new(&[("config", "User \"x\nPort\nCompression yes\n")]);
    let found = home.find("pc1");
    assert_eq!(word(&found, "compression"), Some("yes"));
    assert_eq!(found.remarks.len(), 2);
}

#[test]
fn a_changed_file_is_read_again_an_unchanged_one_not() {
    let home = Home::new(&[("config", "Include more\n")]);
    let (shelf, files) = (Shelf::default(), [home.file()]);
    let first = shelf.config(&files, Some(home.0.path()));
    assert!(Arc::ptr_eq(
        &first,
        &shelf.config(&files, Some(home.0.path()))
    ));
    home.write("more", "Port 77\n");
    let second = shelf.config(&files, Some(home.0.path()));
    assert_eq!(word(&second.look_up(&asked("x")), "port"), Some("77"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_makes_the_reader_panic(text in "([A-Za-z]{0,8}[ =\"'*!,\\\\#]{0,3}){0,40}|(Host|Match|Include|Port)[ -~\n]{0,60}") {
        let home = Home::new(&[("config", &text)]);
        let _ = home.find("pc1");
    }
}
