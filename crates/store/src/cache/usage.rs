//! How many bytes the cache holds: a number in a file, and the lock that all processes take turns
//! with.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use shardpack_formats::crc32c;

/// Longest wait for a turn, which takes 50 µs, or a second where a large cache is counted. A holder
/// that was killed holds nothing; one that was stopped holds up nobody for longer.
const PATIENCE: Duration = Duration::from_secs(5);
const LEN: usize = 28;

/// A turn with the lock; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Usage {
    file: File,
    boot: [u8; 16],
    /// Bytes of all files; none where they have to be counted.
    pub(super) total: Option<u64>,
}

impl Usage {
    /// Waits for a turn. Fails with `TimedOut` when there is none, and where the file system has no
    /// locks.
    pub(super) fn take(path: &Path, boot: [u8; 16]) -> io::Result<Self> {
        let start = Instant::now();
        loop {
            let file = open(path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Whoever clears the folder away takes the file's name from under the lock.
                Ok(()) if is_at(&file, path)? => {
                    let total = read(&file, boot);
                    return Ok(Self { file, boot, total });
                }
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if start.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_micros(200)); // flock has no wait with an end
                }
                Err(Errno::WOULDBLOCK) => {
                    let what = "another process keeps the lock";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, what));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Notes what there is now.
    pub(super) fn set(&mut self, total: u64) -> io::Result<()> {
        self.total = Some(total);
        let mut record = self.boot.to_vec();
        record.extend(total.to_le_bytes());
        let sum = crc32c(&record);
        record.extend(sum.to_le_bytes());
        self.file.write_all_at(&record, 0)
    }
}

impl Drop for Usage {
    /// A process that was forked off in the meantime has the file open too: closing is not enough.
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The number, if it was written since the machine started: a power failure loses some files and
/// not others, and then they are counted.
fn read(file: &File, boot: [u8; 16]) -> Option<u64> {
    let mut record = [0; LEN];
    file.read_exact_at(&mut record, 0).ok()?;
    let (body, sum) = record.split_last_chunk::<4>()?;
    let (then, total) = body.split_first_chunk::<16>()?;
    let total = u64::from_le_bytes(total.try_into().ok()?);
    (crc32c(body) == u32::from_le_bytes(*sum) && *then == boot).then_some(total)
}

/// Tells one start of the machine from another; zeros where the system does not say.
pub(super) fn boot() -> [u8; 16] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).unwrap_or(0).to_le_bytes()
}

/// Never through a link.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32).open(path)
}

/// True when the path names this very file.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (opened.dev(), opened.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_until_the_next_start_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage");
        assert_eq!(Usage::take(&path, [1; 16]).unwrap().total, None);
        Usage::take(&path, [1; 16]).unwrap().set(77).unwrap();
        assert_eq!(Usage::take(&path, [1; 16]).unwrap().total, Some(77));
        assert_eq!(Usage::take(&path, [2; 16]).unwrap().total, None);
        let mut bytes = fs::read(&path).unwrap();
        bytes[17] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(Usage::take(&path, [1; 16]).unwrap().total, None, "damaged");
    }

    #[test]
    fn turns_exclude_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage");
        Usage::take(&path, [0; 16]).unwrap().set(0).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let mut usage = Usage::take(&path, [0; 16]).unwrap();
                        let total = usage.total.unwrap();
                        usage.set(total + 1).unwrap();
                    }
                });
            }
        });
        assert_eq!(Usage::take(&path, [0; 16]).unwrap().total, Some(400));
    }
}
