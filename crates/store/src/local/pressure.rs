//! Whether writes should pass the page cache by.

use std::fs;
use std::path::Path;

/// True when direct writes pay: the run is `durable` or writes more than the kernel keeps
/// unwritten without holding writers back, and the folder is on a disk.
///
/// Measured on ext4 with two writers: direct 1.4 to 1.8 GB/s at any size; through the cache with
/// fsync 0.2 to 1.2; through the cache without fsync 2.7 up to 2 GB and then 0.4.
pub(super) fn direct_pays(root: &Path, durable: bool, expected_bytes: u64) -> bool {
    (durable || expected_bytes > free_run_bytes()) && !is_remote(root)
}

/// True on file systems behind a network: their clients gather writes and send them on many
/// connections, where a direct write waits for the server.
fn is_remote(root: &Path) -> bool {
    // f_type in statfs(2): NFS, FUSE, Lustre, CIFS, SMB2, Ceph, 9P, GPFS
    const REMOTE: [u32; 8] = [
        0x6969,
        0x6573_5546,
        0x0BD0_0BD0,
        0xFF53_4D42,
        0xFE53_4D42,
        0x00C3_6400,
        0x0102_1997,
        0x4750_4653,
    ];
    let here = if root.is_absolute() { None } else { Some(Path::new(".")) };
    let folders = root.ancestors().filter(|folder| !folder.as_os_str().is_empty()).chain(here);
    let found = folders.into_iter().find_map(|folder| rustix::fs::statfs(folder).ok());
    found.is_some_and(|statfs| REMOTE.contains(&(statfs.f_type as u32)))
}

/// Bytes of unwritten pages up to which the kernel lets writers run freely: halfway between where
/// it starts to write them out (`vm.dirty_background_*`) and its limit (`vm.dirty_*`), each bytes
/// or percent of the memory that is available. A container's own limit counts where it is lower,
/// because the kernel takes its share from that.
fn free_run_bytes() -> u64 {
    let number = |path: &str| fs::read_to_string(path).ok().and_then(|t| t.trim().parse().ok());
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let container = number("/sys/fs/cgroup/memory.max").unwrap_or(u64::MAX);
    let memory = memory.unwrap_or(8 << 30).min(container);
    let limit = |name: &str, default: u64| match number(&format!("/proc/sys/vm/{name}_bytes")) {
        Some(bytes @ 1..) => bytes,
        _ => {
            let ratio = number(&format!("/proc/sys/vm/{name}_ratio")).unwrap_or(default);
            memory / 100 * ratio.min(100)
        }
    };
    let (start, most) = (limit("dirty_background", 10), limit("dirty", 20));
    start.saturating_add(most) / 2
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_in_bytes() {
        let text = "MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:   23456 kB\nBuffers: 3 kB\n";
        assert_eq!(available(text), Some(23456 * 1024));
        assert_eq!(available("MemTotal: 100 kB\n"), None);
        assert_eq!(available("MemAvailable: many kB\n"), None);
        assert!(free_run_bytes() > 0);
    }

    #[test]
    fn only_large_or_durable_runs_on_a_disk_are_direct() {
        let root = Path::new("/not-there/at/all"); // asks the folder above
        assert!(direct_pays(root, true, 0) && direct_pays(root, false, u64::MAX));
        assert!(!direct_pays(root, false, 1 << 20));
    }
}
