//! A handle of a server that runs in its own process.

use crate::{
    machine,
    serve::{Kind, nchan},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tower_tenancy::BoxError;

/// A server process. Dropping this value ends it.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Why this machine cannot run such a server, or `None` if it can.
    pub(crate) fn missing(kind: Kind) -> Option<&'static str> {
        let missing = kind == Kind::Nchan && nchan::module().is_none();
        missing.then_some("not run: nginx with nchan is not installed")
    }

    pub(crate) fn start(kind: Kind, options: &[String]) -> Result<Self, BoxError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg(kind.to_string()).args(options);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ");
        server.address = address.ok_or(format!("{kind} did not start: {line:?}"))?.parse()?;
        server.wait_until_it_answers()?;
        Ok(server)
    }

    fn wait_until_it_answers(&self) -> Result<(), BoxError> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match TcpStream::connect(self.address) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => sleep(Duration::from_millis(5)),
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The processor time of the server so far.
    pub(crate) fn cpu(&self) -> Duration {
        machine::cpu(self.child.id())
    }

    /// The memory of the server, in KiB.
    pub(crate) fn pss_kib(&self) -> u64 {
        machine::pss_kib(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id();
        // TERM and not KILL, because nginx must end its worker.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(nchan::prefix(pid));
    }
}
