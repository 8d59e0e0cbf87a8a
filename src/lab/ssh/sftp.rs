//! SFTP version 3 (draft-ietf-secsh-filexfer-02) over a node's file system, with OpenSSH's `posix-rename` and `fsync`.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use russh_sftp::protocol::{
    Attrs, Data, File, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use russh_sftp::server::{Handler, StatusReply};

use crate::lab::shell::{name_of, number_of};
use crate::lab::world::World;
use crate::lab::world::files::{Entry, FsError, Kind};
use crate::lab::world::node::NodeState;

/// Files and directories that one session may hold open.
const HANDLE_LIMIT: usize = 256;
/// The most bytes one read returns.
const READ_LIMIT: u32 = 255 * 1024;
const POSIX_RENAME: &str = "posix-rename@openssh.com";
const FSYNC: &str = "fsync@openssh.com";

pub(super) struct Sftp {
    world: Arc<World>,
    node: String,
    open: HashMap<String, Open>,
    next: u64,
}

enum Open {
    File {
        path: String,
        read: bool,
        write: bool,
        append: bool,
    },
    /// What is left to be listed.
    Directory(Vec<File>),
}

impl From<FsError> for StatusReply {
    fn from(error: FsError) -> Self {
        let code = match error {
            FsError::NotFound => StatusCode::NoSuchFile,
            _ => StatusCode::Failure,
        };
        code.with_message(error.to_string())
    }
}

type Reply<T> = Result<T, StatusReply>;

impl Sftp {
    pub(super) fn new(world: Arc<World>, node: String) -> Self {
        Self {
            world,
            node,
            open: HashMap::new(),
            next: 0,
        }
    }

    /// Holds the answer back while the network is slow.
    async fn lag(&self) {
        let latency = self.world.latency();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    fn look<T>(&self, look: impl FnOnce(&NodeState, Timestamp) -> Result<T, FsError>) -> Reply<T> {
        let now = self.world.now();
        let seen = self.world.look(&self.node, |node| look(node, now));
        Ok(seen.ok_or(StatusCode::ConnectionLost)??)
    }

    fn change(
        &self,
        id: u32,
        change: impl FnOnce(&mut NodeState, Timestamp) -> Result<(), FsError>,
    ) -> Reply<Status> {
        let changed = self.world.change(&self.node, change);
        changed.ok_or(StatusCode::ConnectionLost)??;
        Ok(done(id))
    }

    fn file(&self, handle: &str) -> Reply<&Open> {
        self.open
            .get(handle)
            .ok_or_else(|| StatusCode::Failure.with_message("invalid handle"))
    }

    fn path(&self, handle: &str) -> Reply<String> {
        match self.file(handle)? {
            Open::File { path, .. } => Ok(path.clone()),
            Open::Directory(_) => Err(StatusCode::Failure.into()),
        }
    }

    fn keep(&mut self, id: u32, open: Open) -> Reply<Handle> {
        if self.open.len() >= HANDLE_LIMIT {
            return Err(StatusCode::Failure.with_message("too many open handles"));
        }
        self.next += 1;
        let handle = self.next.to_string();
        self.open.insert(handle.clone(), open);
        Ok(Handle { id, handle })
    }

    fn attributes(&self, path: &str, follow: bool) -> Reply<FileAttributes> {
        self.look(|node, now| {
            let entry = if follow {
                node.files.stat(path)
            } else {
                node.files.lstat(path)
            };
            match (entry, node.read(path, now)) {
                (Ok(entry), _) => Ok(describe(node, entry)),
                // The kernel's made-up files have no entry.
                (Err(_), Ok(content)) => Ok(FileAttributes {
                    size: Some(content.len() as u64),
                    uid: Some(0),
                    gid: Some(0),
                    permissions: Some(0o100_444),
                    ..FileAttributes::empty()
                }),
                (Err(error), Err(_)) => Err(error),
            }
        })
    }

    fn set(&self, id: u32, path: &str, attributes: &FileAttributes) -> Reply<Status> {
        self.change(id, |node, now| apply(node, path, attributes, now))
    }

    fn rename_over(&self, id: u32, data: &[u8]) -> Reply<Status> {
        let (from, rest) = take_string(data).ok_or(StatusCode::BadMessage)?;
        let (to, _) = take_string(rest).ok_or(StatusCode::BadMessage)?;
        self.change(id, |node, _| node.files.rename(&from, &to))
    }
}

impl Handler for Sftp {
    type Error = StatusReply;

    fn unimplemented(&self) -> Self::Error {
        StatusCode::OpUnsupported.into()
    }

    async fn init(&mut self, _: u32, _: HashMap<String, String>) -> Reply<Version> {
        self.lag().await;
        let mut version = Version::new();
        for name in [POSIX_RENAME, FSYNC] {
            version.extensions.insert(name.into(), "1".into());
        }
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        flags: OpenFlags,
        attributes: FileAttributes,
    ) -> Reply<Handle> {
        self.lag().await;
        let write = flags.intersects(OpenFlags::WRITE | OpenFlags::APPEND);
        if write {
            let mode = attributes.permissions.unwrap_or(0o644) & 0o7777;
            self.change(id, |node, now| {
                let exists = node.files.exists(&filename);
                if exists && flags.contains(OpenFlags::EXCLUDE) {
                    return Err(FsError::Exists);
                }
                if !exists && !flags.contains(OpenFlags::CREATE) {
                    return Err(FsError::NotFound);
                }
                if !exists {
                    return node.files.write(&filename, Vec::new(), mode, now);
                }
                if flags.contains(OpenFlags::TRUNCATE) {
                    return node.files.truncate(&filename, 0, now);
                }
                node.files.read(&filename).map(|_| ())
            })?;
        } else {
            self.look(|node, now| node.read(&filename, now))?;
        }
        let open = Open::File {
            path: filename,
            read: flags.contains(OpenFlags::READ),
            write,
            append: flags.contains(OpenFlags::APPEND),
        };
        self.keep(id, open)
    }

    async fn close(&mut self, id: u32, handle: String) -> Reply<Status> {
        self.lag().await;
        self.file(&handle)?;
        self.open.remove(&handle);
        Ok(done(id))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, length: u32) -> Reply<Data> {
        self.lag().await;
        let Open::File {
            path, read: true, ..
        } = self.file(&handle)?
        else {
            return Err(StatusCode::PermissionDenied.into());
        };
        let content = self.look(|node, now| node.read(path, now))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = content.get(start..).unwrap_or_default();
        if rest.is_empty() {
            return Err(StatusCode::Eof.into());
        }
        let length = usize::try_from(length.min(READ_LIMIT)).unwrap_or(0);
        Ok(Data {
            id,
            data: rest[..length.min(rest.len())].to_vec(),
        })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Reply<Status> {
        self.lag().await;
        let Open::File {
            path,
            write: true,
            append,
            ..
        } = self.file(&handle)?
        else {
            return Err(StatusCode::PermissionDenied.into());
        };
        self.change(id, |node, now| {
            let offset = if *append {
                node.files.stat(path)?.size()
            } else {
                offset
            };
            node.files.write_at(path, offset, &data, now)
        })
    }

    async fn lstat(&mut self, id: u32, path: String) -> Reply<Attrs> {
        self.lag().await;
        let attrs = self.attributes(&path, false)?;
        Ok(Attrs { id, attrs })
    }

    async fn stat(&mut self, id: u32, path: String) -> Reply<Attrs> {
        self.lag().await;
        let attrs = self.attributes(&path, true)?;
        Ok(Attrs { id, attrs })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Reply<Attrs> {
        self.lag().await;
        let attrs = self.attributes(&self.path(&handle)?, true)?;
        Ok(Attrs { id, attrs })
    }

    async fn setstat(
        &mut self,
        id: u32,
        path: String,
        attributes: FileAttributes,
    ) -> Reply<Status> {
        self.lag().await;
        self.set(id, &path, &attributes)
    }

    async fn fsetstat(
        &mut self,
        id: u32,
        handle: String,
        attributes: FileAttributes,
    ) -> Reply<Status> {
        self.lag().await;
        self.set(id, &self.path(&handle)?, &attributes)
    }

    async fn opendir(&mut self, id: u32, path: String) -> Reply<Handle> {
        self.lag().await;
        let base = path.trim_end_matches('/').to_owned();
        let mut files = self.look(|node, _| {
            let names = node.files.list(&path)?;
            let describe_one = |name: String| {
                let entry = node.files.lstat(&format!("{base}/{name}")).ok()?;
                Some(File::new(name, describe(node, entry)))
            };
            Ok(names
                .into_iter()
                .filter_map(describe_one)
                .collect::<Vec<_>>())
        })?;
        // Handed out from the end.
        files.reverse();
        self.keep(id, Open::Directory(files))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Reply<Name> {
        self.lag().await;
        let Some(Open::Directory(left)) = self.open.get_mut(&handle) else {
            return Err(StatusCode::Failure.with_message("invalid handle"));
        };
        if left.is_empty() {
            return Err(StatusCode::Eof.into());
        }
        let mut files = left.split_off(left.len().saturating_sub(100));
        files.reverse();
        Ok(Name { id, files })
    }

    async fn remove(&mut self, id: u32, path: String) -> Reply<Status> {
        self.lag().await;
        self.change(id, |node, _| node.files.unlink(&path))
    }

    async fn mkdir(&mut self, id: u32, path: String, attributes: FileAttributes) -> Reply<Status> {
        self.lag().await;
        let mode = attributes.permissions.unwrap_or(0o755) & 0o7777;
        self.change(id, |node, now| node.files.mkdir(&path, mode, now))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Reply<Status> {
        self.lag().await;
        self.change(id, |node, _| node.files.rmdir(&path))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Reply<Name> {
        self.lag().await;
        let path = if path.is_empty() { ".".into() } else { path };
        let real = self.look(|node, _| node.files.real_path(&path))?;
        Ok(Name {
            id,
            files: vec![File::dummy(real)],
        })
    }

    /// Version 3's own rename refuses to replace, as OpenSSH's does.
    async fn rename(&mut self, id: u32, from: String, to: String) -> Reply<Status> {
        self.lag().await;
        self.change(id, |node, _| {
            if node.files.lstat(&to).is_ok() {
                return Err(FsError::Exists);
            }
            node.files.rename(&from, &to)
        })
    }

    async fn readlink(&mut self, id: u32, path: String) -> Reply<Name> {
        self.lag().await;
        let target = self.look(|node, _| node.files.read_link(&path).map(str::to_owned))?;
        Ok(Name {
            id,
            files: vec![File::dummy(target)],
        })
    }

    /// OpenSSH has the two paths the wrong way round, and everybody follows it: first the target, then the link.
    async fn symlink(&mut self, id: u32, target: String, link: String) -> Reply<Status> {
        self.lag().await;
        self.change(id, |node, now| node.files.symlink(&target, &link, now))
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Reply<Packet> {
        self.lag().await;
        match request.as_str() {
            POSIX_RENAME => self.rename_over(id, &data).map(Packet::Status),
            // Nothing here is ever lost by a crash of a disk.
            FSYNC => Ok(Packet::Status(done(id))),
            _ => Err(StatusCode::OpUnsupported.into()),
        }
    }
}

fn done(id: u32) -> Status {
    Status {
        id,
        status_code: StatusCode::Ok,
        error_message: "Success".into(),
        language_tag: String::new(),
    }
}

/// A string of the SSH wire format (RFC 4251 §5), and what follows it.
fn take_string(data: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = data.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let text = rest.get(..length)?;
    let text = String::from_utf8(text.to_vec()).ok()?;
    Some((text, &rest[length..]))
}

fn describe(node: &NodeState, entry: &Entry) -> FileAttributes {
    let kind = match entry.kind {
        Kind::File(_) => 0o100_000,
        Kind::Directory => 0o040_000,
        Kind::Link(_) => 0o120_000,
    };
    let modified = u32::try_from(entry.modified.as_second()).ok();
    FileAttributes {
        size: Some(entry.size()),
        uid: number_of(node, "/etc/passwd", &entry.owner),
        user: Some(entry.owner.clone()),
        gid: number_of(node, "/etc/group", &entry.group),
        group: Some(entry.group.clone()),
        permissions: Some(kind | entry.mode),
        atime: modified,
        mtime: modified,
    }
}

fn apply(
    node: &mut NodeState,
    path: &str,
    attributes: &FileAttributes,
    now: Timestamp,
) -> Result<(), FsError> {
    if let Some(size) = attributes.size {
        node.files.truncate(path, size, now)?;
    }
    let owner = attributes.uid.map(|uid| name_of(node, "/etc/passwd", uid));
    let group = attributes.gid.map(|gid| name_of(node, "/etc/group", gid));
    let modified = attributes
        .mtime
        .and_then(|seconds| Timestamp::from_second(i64::from(seconds)).ok());
    node.files.set(path, |entry| {
        if let Some(owner) = owner {
            entry.owner = owner;
        }
        if let Some(group) = group {
            entry.group = group;
        }
        if let Some(permissions) = attributes.permissions {
            entry.mode = permissions & 0o7777;
        }
        if let Some(modified) = modified {
            entry.modified = modified;
        }
    })
}
