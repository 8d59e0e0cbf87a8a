//! A terminal with the built program in it: keys go in, a screen comes out. Nothing is simulated but the glass.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};

/// How long anything may take before a test fails; generous, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A running program and its screen. Ending it by force when dropped keeps a failed test from leaving it behind.
pub(crate) struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    parser: Arc<Mutex<vt100::Parser>>,
    said: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts `quarterdeck` with `args` in a terminal of `columns` × `rows`, its files under `home`.
    pub(crate) fn start(args: &[&str], home: &Path, (columns, rows): (u16, u16)) -> Self {
        Self::start_with(args, home, (columns, rows), &[])
    }

    /// As [`Terminal::start`], with more variables in the environment.
    pub(crate) fn start_with(
        args: &[&str],
        home: &Path,
        (columns, rows): (u16, u16),
        env: &[(&str, &str)],
    ) -> Self {
        let (pty, pts) = open().expect("a pseudo terminal");
        pty.resize(Size::new(rows, columns)).expect("a size");
        let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .args(args)
            .current_dir(home)
            .env("HOME", home)
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .env("COLORTERM", "truecolor")
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env_remove("NO_COLOR")
            .env_remove("SSH_AUTH_SOCK");
        for (name, value) in env {
            command = command.env(name, value);
        }
        let child = command.spawn(pts).expect("the program starts");
        let pty = Arc::new(pty);
        let size = |number| NonZeroU16::new(number).expect("a size");
        let parser = Arc::new(Mutex::new(vt100::Parser::new(size(rows), size(columns), 0)));
        let (from, into) = (Arc::clone(&pty), Arc::clone(&parser));
        let said = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            // An error is how a pseudo terminal says that the other end is gone.
            while let Ok(read @ 1..) = (&*from).read(&mut buffer) {
                into.lock()
                    .expect("the reader does not panic")
                    .process(&buffer[..read]);
                let mut all = all.lock().expect("the reader does not panic");
                all.extend_from_slice(&buffer[..read]);
            }
        });
        Self {
            pty,
            child,
            parser,
            said,
            reader,
        }
    }

    /// Types `keys` as they are; control keys as their bytes.
    pub(crate) fn press(&self, keys: &str) {
        (&*self.pty)
            .write_all(keys.as_bytes())
            .expect("the program reads its keys");
    }

    /// Changes the size of the terminal under the program.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let size = |number| NonZeroU16::new(number).expect("a size");
        self.parser
            .lock()
            .expect("the reader does not panic")
            .screen_mut()
            .set_size(size(rows), size(columns));
        self.pty.resize(Size::new(rows, columns)).expect("a size");
    }

    /// What is on the screen now.
    pub(crate) fn screen(&self) -> String {
        self.parser
            .lock()
            .expect("the reader does not panic")
            .screen()
            .contents()
    }

    /// Every byte that came to the terminal, sequences and all.
    #[allow(dead_code, reason = "not every test that includes this looks at it")]
    pub(crate) fn said(&self) -> Vec<u8> {
        let said = self.said.lock().expect("the reader does not panic");
        said.clone()
    }

    /// Whether what is typed is shown by the terminal itself, as it is outside of programs with screens.
    #[allow(dead_code, reason = "not every test that includes this looks at it")]
    pub(crate) fn echoes(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&*self.pty).expect("it is a terminal");
        modes
            .local_modes
            .contains(rustix::termios::LocalModes::ECHO)
    }

    /// Whether the terminal shows the program's own screen, with its cursor and modes.
    pub(crate) fn is_in_alternate_screen(&self) -> bool {
        self.parser
            .lock()
            .expect("the reader does not panic")
            .screen()
            .alternate_screen()
    }

    /// Whether the cursor can be seen.
    pub(crate) fn shows_cursor(&self) -> bool {
        !self
            .parser
            .lock()
            .expect("the reader does not panic")
            .screen()
            .hide_cursor()
    }

    /// Waits until the screen is as `wanted` says.
    ///
    /// # Panics
    /// With the screen, when that does not happen.
    pub(crate) fn wait_until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "waited in vain for: {what}\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `text` is on the screen.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Waits for the program's end, and until all that it said was read.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child")
                && self.reader.is_finished()
            {
                return status;
            }
            assert!(
                Instant::now() < end,
                "the program does not end\n{}",
                self.screen()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The program's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
