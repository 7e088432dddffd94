//! Sets the limits of a process, and reads figures about it.

use std::{collections::HashSet, fs, time::Duration};
use tower_tenancy::BoxError;

/// The core of the server.
pub(crate) const SERVER_CORE: usize = 0;
/// The core of the load generator.
pub(crate) const LOAD_CORE: usize = 1;

/// Keeps this thread, and the threads and processes that it starts, on one core. If this fails, the thread stays
/// where it is. Does nothing on systems other than Linux.
pub(crate) fn pin(core: usize) {
    #[cfg(target_os = "linux")]
    {
        let mut set = rustix::thread::CpuSet::new();
        set.set(core);
        if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
            eprintln!("not pinned to core {core}: {error}");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = core;
}

/// Ends this process when its parent ends, even if the parent crashes.
pub(crate) fn end_with_parent() -> Result<(), BoxError> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    Ok(())
}

/// Raises the limit of open files as far as possible, and returns it.
pub(crate) fn raise_open_files() -> Result<u64, BoxError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// Fails if the limit of open files is too low for `sockets`.
pub(crate) fn room_for(sockets: usize) -> Result<(), BoxError> {
    let limit = raise_open_files()?;
    let needed = sockets as u64 + 64;
    if needed > limit {
        return Err(format!("this needs {needed} open files; the hard limit is {limit}").into());
    }
    Ok(())
}

/// A process and its descendants.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut seen: HashSet<u32> = family.iter().copied().collect();
    let mut at = 0;
    while let Some(&pid) = family.get(at) {
        at += 1;
        for task in tasks(pid) {
            let children = format!("/proc/{pid}/task/{task}/children");
            let children = fs::read_to_string(children).unwrap_or_default();
            let children = children.split_whitespace().filter_map(|child| child.parse().ok());
            family.extend(children.filter(|child| seen.insert(*child)));
        }
    }
    family
}

fn tasks(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The processor time of a process and its descendants, in user space and in the kernel.
pub(crate) fn cpu(pid: u32) -> Duration {
    family(pid).into_iter().map(cpu_of_process).sum()
}

/// The processor time of a process.
pub(crate) fn cpu_of_process(pid: u32) -> Duration {
    let of_task = |task: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).ok()?;
        Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
    };
    tasks(pid).into_iter().filter_map(of_task).sum()
}

/// The memory of a process and its descendants in KiB. Shared memory counts in proportion (PSS).
pub(crate) fn pss_kib(pid: u32) -> u64 {
    let of = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    family(pid).into_iter().filter_map(of).sum()
}
