//! How much may be written before the kernel holds writers back.

use std::fs;

/// Bytes of unwritten pages at which the kernel starts to write them out whatever their age:
/// `vm.dirty_background_bytes`, or `vm.dirty_background_ratio` percent of the memory that is
/// available. Beyond that, buffered writers compete with the write-out and are soon held to less
/// than the disk's rate (measured: BENCHMARKS.md). A container's own limit counts where it is
/// lower, because the kernel takes its dirty share from that.
pub(super) fn dirty_background_bytes() -> u64 {
    let number = |path| fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    if let Some(bytes @ 1..) = number("/proc/sys/vm/dirty_background_bytes") {
        return bytes;
    }
    let ratio = number("/proc/sys/vm/dirty_background_ratio").unwrap_or(10);
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let container = number("/sys/fs/cgroup/memory.max").unwrap_or(u64::MAX);
    memory.unwrap_or(8 << 30).min(container) / 100 * ratio.min(100)
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
        assert!(dirty_background_bytes() > 0);
    }
}
