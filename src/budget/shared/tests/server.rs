//! A real Valkey or Redis, in a process and a folder of its own, on a Unix socket. Used by the tests of this module and by
//! those over the wire.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server that dies with the test.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    child: Child,
}

impl Server {
    /// One that has every command on disk before it answers. With `everysec` it answers before it writes while its disk is busy.
    pub(crate) fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    /// One with these arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let child = spawn(folder.path(), &arguments);
        let mut server = Self { folder, arguments, child };
        server.wait_until_it_answers();
        server
    }

    /// One that also listens on ports of this machine, which the arguments are made of.
    pub(crate) fn on_ports<const N: usize>(arguments: impl Fn([u16; N]) -> Vec<String>) -> (Self, [u16; N]) {
        // Another process can take a port before the server does: then it ends, and others are tried.
        for _ in 0..20 {
            let ports = free_ports();
            let (folder, arguments) = (tempfile::tempdir().unwrap(), arguments(ports));
            let child = spawn(folder.path(), &arguments);
            let mut server = Self { folder, arguments, child };
            if server.answers_before_it_ends() {
                return (server, ports);
            }
        }
        panic!("no server starts on any port");
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = std::fs::remove_file(self.socket());
    }

    /// Starts it again on what it has written down.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), &self.arguments);
        self.wait_until_it_answers();
    }

    /// Starts it again on nothing.
    pub(crate) fn start_empty(&mut self) {
        let _ = std::fs::remove_dir_all(self.folder.path().join("appendonlydir"));
        self.start_again();
    }

    /// What the server says to a command.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = redis::Client::open(self.url()).unwrap().get_connection().unwrap();
        let mut asked = redis::cmd(command[0]);
        command[1..].iter().for_each(|&argument| _ = asked.arg(argument));
        asked.query(&mut connection).unwrap()
    }

    fn wait_until_it_answers(&mut self) {
        assert!(self.answers_before_it_ends(), "{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap());
    }

    fn answers_before_it_ends(&mut self) -> bool {
        let client = redis::Client::open(self.url()).unwrap();
        let started = std::time::Instant::now();
        while started.elapsed() < std::time::Duration::from_mins(1) {
            if client.get_connection().and_then(|mut it| redis::cmd("PING").query::<String>(&mut it)).is_ok() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, arguments: &[String]) -> Child {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let is_file = |argument: &str| argument.starts_with('/') && argument.ends_with("conf");
    let start = |program: &str| {
        Command::new(program)
            // A configuration file, if there is one, stands first.
            .args(arguments.iter().filter(|argument| is_file(argument)))
            .args(["--port", "0", "--unixsocket", "socket", "--dir"])
            .arg(folder)
            .args(arguments.iter().filter(|argument| !is_file(argument)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(Stdio::null())
            .spawn()
    };
    start("valkey-server").or_else(|_| start("redis-server")).unwrap_or_else(|error| {
        panic!("neither valkey-server nor redis-server can be started ({error}): scripts/test installs one")
    })
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}
