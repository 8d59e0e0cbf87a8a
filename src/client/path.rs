//! Paths of Unix sockets: the kernel takes 107 bytes, and a state directory may well be longer.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// The longest path of a socket, bytes (`sun_path` of unix(7), without its end mark).
const LONGEST: usize = 107;

/// A path that the kernel takes, good as long as this lives.
pub struct Short {
    path: PathBuf,
    /// The directory that the path goes through.
    _directory: Option<File>,
}

impl Short {
    /// The path to use.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A short way to the socket at `path`: the path itself, or one through the open directory in `/proc`.
///
/// # Errors
/// When the directory cannot be opened.
pub fn short(path: &Path) -> io::Result<Short> {
    if path.as_os_str().len() <= LONGEST {
        return Ok(Short {
            path: path.to_owned(),
            _directory: None,
        });
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "this is no path of a socket",
        ));
    };
    let directory = File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok(Short {
        path,
        _directory: Some(directory),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_deep_down_can_be_bound_and_reached() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join("engine.sock");
        let listener = tokio::net::UnixListener::bind(short(&path).unwrap().path()).unwrap();
        let way = short(&path).unwrap();
        let (there, here) = tokio::join!(
            tokio::net::UnixStream::connect(way.path()),
            listener.accept()
        );
        assert!(there.is_ok() && here.is_ok() && path.exists());
    }
}
