//! A PostgreSQL server of our own, from the binaries of this machine.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// A server in a temporary folder, which ends with this.
pub struct Server {
    programs: PathBuf,
    folder: tempfile::TempDir,
    /// Whom it runs as, where we are root, which it refuses.
    user: Option<(u32, u32)>,
    port: u16,
    /// What it is told beside where it is: `shared_buffers=1GB`.
    settings: Vec<String>,
    running: Mutex<Option<Child>>,
}

impl Server {
    /// The one that tests share; `None`, and a word about it, where the machine has none.
    pub fn shared() -> Option<Arc<Server>> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Server::start()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// One of its own, as [`Server::shared`].
    pub fn start() -> Option<Server> {
        Server::start_with(&[])
    }

    /// The same, with settings.
    pub fn start_with(settings: &[&str]) -> Option<Server> {
        let Some(programs) = programs() else {
            eprintln!("NO POSTGRESQL ON THIS MACHINE: NOTHING IS TESTED ON IT");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let user = user();
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let server = Server {
            programs,
            folder,
            user,
            port: port.unwrap().port(),
            settings: settings.iter().map(|&text| text.to_owned()).collect(),
            running: Mutex::new(None),
        };
        let made = server
            .program("initdb")
            .args(["--no-sync", "--auth=trust", "--username=kenko"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--pgdata"])
            .arg(server.folder.path().join("data"))
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        server.resume();
        Some(server)
    }

    /// The address of a database on it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://kenko@127.0.0.1:{}/{database}", self.port)
    }

    /// Its first process, which starts the others.
    pub fn pid(&self) -> Option<u32> {
        self.running.lock().unwrap().as_ref().map(Child::id)
    }

    /// Ends it: whoever is connected is told so, and it is gone.
    pub fn stop(&self) {
        let Some(pid) = self.pid() else { return };
        let _ = Command::new("kill")
            .args(["-INT", &pid.to_string()])
            .status();
        if let Some(mut child) = self.running.lock().unwrap().take() {
            let _ = child.wait();
        }
    }

    /// Starts it, again.
    pub fn resume(&self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = self
            .program("postgres")
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "max_connections=300"])
            .args(self.settings.iter().flat_map(|text| ["-c", text]))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.running.lock().unwrap() = Some(child);
        let begun = Instant::now();
        while !self.answers() {
            let log = || std::fs::read_to_string(self.folder.path().join("log"));
            assert!(begun.elapsed().as_secs() < 60, "{}", log().unwrap());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let port = self.port.to_string();
        let asked = self
            .program("pg_isready")
            .args(["-q", "-h", "127.0.0.1", "-p", &port])
            .status();
        asked.unwrap().success()
    }

    /// One of the programs that come with it, as its user, in its folder.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env_remove("PGHOST")
            .env_remove("PGPORT");
        if let Some((user, group)) = self.user {
            command.gid(group).uid(user);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The folder of the newest server's programs: where distributions put them, or the path.
fn programs() -> Option<PathBuf> {
    let version = |path: &PathBuf| -> u32 {
        let name = path.file_name().and_then(|n| n.to_str());
        name.and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter();
    let mut folders: Vec<PathBuf> = installed.flatten().flatten().map(|e| e.path()).collect();
    folders.sort_by_key(version);
    let folders = folders.into_iter().rev().map(|folder| folder.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let whole = |folder: &PathBuf| {
        let has = |name: &str| folder.join(name).exists();
        has("initdb") && has("postgres") && has("pg_isready")
    };
    let folders: Vec<PathBuf> = folders.chain(std::env::split_paths(&path)).collect();
    folders.into_iter().find(whole)
}

/// Somebody who is not root, where we are.
pub fn user() -> Option<(u32, u32)> {
    let number = |arguments: &[&str]| -> Option<u32> {
        let told = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8(told.stdout).ok()?.trim().parse().ok()
    };
    if number(&["-u"]) != Some(0) {
        return None;
    }
    let of = |name: &str| Some((number(&["-u", name])?, number(&["-g", name])?));
    of("postgres").or_else(|| of("nobody"))
}

/// Whether a file lies in a folder of release builds.
pub fn is_release(program: &Path) -> bool {
    program
        .components()
        .any(|part| part.as_os_str() == "release")
}
