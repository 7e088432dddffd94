//! nginx with the nchan module, if the machine has both. nginx has one worker, and stores events in memory.
//!
//! nginx 1.22 sets `tcp_nodelay` only on connections that it keeps alive between requests, and so not on
//! nchan's streams. With several events in flight, small events wait up to 40 ms for the acknowledgement of earlier
//! ones.

use crate::{machine, serve::PATH};
use std::{
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tower_tenancy::BoxError;

const MODULES: [&str; 3] =
    ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules"];

/// The path of nchan's module, if nginx and the module are installed.
pub(crate) fn module() -> Option<PathBuf> {
    let modules = MODULES.iter().map(|dir| Path::new(dir).join("ngx_nchan_module.so"));
    let module = modules.into_iter().find(|module| module.exists())?;
    let version = Command::new("nginx").arg("-v").stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success()).then_some(module)
}

/// The folder for the files of the nginx with this process id.
pub(crate) fn prefix(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("fanout-nchan-{pid}"))
}

/// Replaces this process with nginx.
pub(crate) fn run(port: u16) -> Result<(), BoxError> {
    let module = module().ok_or("nginx with nchan is not installed")?;
    // nginx does not print its port, so choose a free one. Another process may take it before nginx starts.
    let address = TcpListener::bind(("127.0.0.1", port))?.local_addr()?;
    let prefix = prefix(std::process::id());
    std::fs::create_dir_all(&prefix)?;
    let configuration = prefix.join("nginx.conf");
    let core = 1 << machine::SERVER_CORE;
    let (module, dir) = (module.display(), prefix.display());
    std::fs::write(
        &configuration,
        format!(
            "load_module {module};
daemon off;
worker_processes 1;
worker_cpu_affinity {core:02b};
worker_rlimit_nofile 20000;
pid {dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections 19000; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 1h;
  keepalive_requests 100000000;
  client_max_body_size 16m;
  client_body_buffer_size 1m;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  nchan_shared_memory_size 512m;
  server {{
    listen {address} backlog=4096;
    location = {PATH} {{
      nchan_publisher http;
      nchan_subscriber eventsource;
      nchan_channel_id th;
      nchan_subscriber_first_message newest;
      nchan_message_buffer_length 10000;
      nchan_message_timeout 1h;
    }}
  }}
}}
"
        ),
    )?;
    super::announce(address);
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(&prefix).arg("-c").arg(&configuration).arg("-e").arg("stderr");
    Err(nginx.exec().into())
}
