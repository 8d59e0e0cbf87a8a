use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::super::testing::{TempHost, difference, differences, ensure};
use super::*;
use crate::domain::resource::Resource;

fn declared(path: &str, content: &str, mode: &str) -> Resource {
    Resource::File(FileSpec {
        path: path.into(),
        content: content.into(),
        mode: mode.into(),
        owner: "root".into(),
        group: "root".into(),
    })
}

#[tokio::test]
async fn a_missing_file_is_written_and_then_needs_nothing() {
    let host = TempHost::new();
    let resource = declared("/motd", "hello\n", "0640");
    assert_eq!(
        ensure(&resource, &host).await.unwrap(),
        ["does not exist → 6 bytes, 0640 root:root"]
    );
    assert_eq!(
        std::fs::read_to_string(host.path("/motd")).unwrap(),
        "hello\n"
    );
}

#[tokio::test]
async fn looking_changes_nothing() {
    let host = TempHost::new();
    let resource = declared("/motd", "hello\n", "0644");
    let difference = difference(&resource, &host).await.unwrap();
    assert!(!difference.is_none());
    assert!(!host.path("/motd").exists());
    assert!(!host.ran().iter().any(|line| line.starts_with("write")));
}

#[tokio::test]
async fn another_content_is_shown_as_a_unified_diff() {
    let host = TempHost::new();
    host.put("/app.conf", "port = 80\nname = a\n");
    let resource = declared("/app.conf", "port = 81\nname = a\n", "0644");
    let difference = difference(&resource, &host).await.unwrap();
    assert_eq!(difference.changes[0], "content differs");
    insta::assert_snapshot!(difference.diff.join("\n"), @r"
    --- /app.conf (on the node)
    +++ /app.conf (declared)
    @@ -1,2 +1,2 @@
    -port = 80
    +port = 81
     name = a
    ");
}

#[tokio::test]
async fn another_mode_is_set_without_writing_the_file_again() {
    let host = TempHost::new();
    host.put("/secret", "x");
    std::fs::set_permissions(host.path("/secret"), std::fs::Permissions::from_mode(0o666)).unwrap();
    let inode = host.path("/secret").metadata().unwrap().ino();
    let changes = ensure(&declared("/secret", "x", "0600"), &host)
        .await
        .unwrap();
    assert_eq!(changes, ["mode 0666 → 0600"]);
    assert_eq!(host.path("/secret").metadata().unwrap().ino(), inode);
}

#[tokio::test]
async fn a_link_is_replaced_and_what_it_leads_to_is_not_touched() {
    let host = TempHost::new();
    host.put("/target", "kept");
    std::os::unix::fs::symlink(host.path("/target"), host.path("/link")).unwrap();
    let changes = ensure(&declared("/link", "new", "0644"), &host)
        .await
        .unwrap();
    assert_eq!(changes, ["symbolic link → file"]);
    assert_eq!(
        std::fs::read_to_string(host.path("/target")).unwrap(),
        "kept"
    );
}

#[tokio::test]
async fn a_directory_in_the_way_is_left_there() {
    let host = TempHost::new();
    std::fs::create_dir(host.path("/etc")).unwrap();
    let resource = declared("/etc", "x", "0755");
    assert_eq!(
        differences(&resource, &host).await.unwrap(),
        ["directory → file"]
    );
    let error = ensure(&resource, &host).await.unwrap_err().to_string();
    assert_eq!(error, "/etc is a directory on the node: move it away first");
}

#[tokio::test]
async fn bad_declarations_are_refused_before_anything_runs() {
    let host = TempHost::new();
    for (path, mode, reason) in [
        ("relative", "0644", "is not absolute"),
        ("/a/../b", "0644", "holds `..`"),
        ("/a", "rw", "octal digits"),
    ] {
        let error = differences(&declared(path, "", mode), &host)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(host.ran(), [] as [&str; 0]);
}

#[test]
fn binary_and_huge_contents_are_summarised() {
    assert_eq!(
        diff("/a", b"\0\x01", b"text"),
        ["/a: binary, 2 bytes → 4 bytes"]
    );
    assert_eq!(
        diff("/a", &[0xff], b"text"),
        ["/a: binary, 1 bytes → 4 bytes"]
    );
    let huge = vec![b'x'; DIFF_LIMIT + 1];
    assert!(diff("/a", b"", &huge)[0].contains("too large to compare here"));
}

#[test]
fn a_long_diff_is_cut_and_says_by_how_much() {
    let lines: Vec<String> = (0..1000).map(|line| line.to_string()).collect();
    let new = lines.join("\n") + "\n";
    let lines = diff("/a", b"", new.as_bytes());
    assert_eq!(lines.len(), DIFF_LINES + 1);
    assert_eq!(lines[DIFF_LINES], "… 603 more lines");
}
