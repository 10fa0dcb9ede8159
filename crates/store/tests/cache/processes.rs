//! Several processes on one folder, and such as are killed.
//!
//! A child is this very program, told by the environment to run [`child`] and nothing else.

use super::*;

const FOLDER: &str = "SHARDPACK_TEST_CACHE";
const MOST: &str = "SHARDPACK_TEST_CACHE_MOST";
const LEN: usize = 24 * BLOCK;

/// What a child reads: the same bytes in every process.
fn remote() -> Remote {
    Remote::with(&[("a", &pattern(LEN))])
}

/// Reads all blocks, in an order of its own, and tells on its standard output what it fetched.
#[test]
#[ignore = "run by the other tests, as a process of its own"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let most = std::env::var(MOST).unwrap().parse().unwrap();
    let store = cached(&remote(), Path::new(&folder), most);
    let (object, bytes) = (store.open("a").unwrap(), pattern(LEN));
    let mut block = vec![0; BLOCK];
    for i in 0..48 {
        let at = (i * 7 + std::process::id() as usize) % 24 * BLOCK;
        assert_eq!(object.read_at(at as u64, &mut block).unwrap(), BLOCK);
        assert!(block == bytes[at..at + BLOCK], "block {at}");
        assert!(held(Path::new(&folder)) <= most);
    }
    let traffic = store.traffic();
    assert_eq!(traffic.trouble, None);
    println!("\nfetched={}", traffic.fetched);
}

fn start(folder: &Path, most: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(MOST, most.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Bytes that a child fetched. It read all of them right.
fn fetched(child: Child) -> u64 {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("fetched="));
    line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[test]
fn processes_fetch_each_block_once() {
    let folder = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..4).map(|_| start(folder.path(), 1 << 30)).collect();
    assert_eq!(children.into_iter().map(fetched).sum::<u64>(), LEN as u64);
    assert_eq!(fetched(start(folder.path(), 1 << 30)), 0, "nor does one that comes later");
}

#[test]
fn processes_keep_one_limit() {
    let folder = tempfile::tempdir().unwrap();
    let most = 6 * (BLOCK as u64 + TRAILER);
    let children: Vec<_> = (0..4).map(|_| start(folder.path(), most)).collect();
    for child in children {
        assert!(fetched(child) > 0); // each looked at the limit after every read
    }
    assert!(held(folder.path()) <= most);
}

#[test]
fn a_killed_process_leaves_nothing_that_is_wrong_or_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let most = 1 << 30;
    for blocks in [0, 1, 2, 5, 9, 14] {
        let mut child = start(folder.path(), most);
        while files(folder.path()).len() <= blocks && child.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let remote = remote();
        let store = cached(&remote, folder.path(), most);
        let object = store.open("a").unwrap();
        // The two blocks in front are read by a survivor: whatever was under way there.
        let mut some = vec![0; 2 * BLOCK];
        object.read_at(0, &mut some).unwrap();
        assert!(some == pattern(LEN)[..some.len()], "killed at {blocks} blocks");
        assert_eq!(store.traffic().trouble, None);
    }
    let left = fetched(start(folder.path(), most));
    assert!(left < LEN as u64, "what the killed ones had fetched is used");
    assert_eq!(fetched(start(folder.path(), most)), 0);
    let parts = files(folder.path()).into_iter().filter(|(path, _)| path.extension().is_some());
    assert_eq!(parts.count(), 0, "parts of the dead were taken over");
}

/// A part that a dead process left counts for the limit until it makes room.
#[test]
fn leftovers_are_evicted() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = folder.path().join("blocks/00");
    fs::create_dir_all(&shelf).unwrap();
    let leftover = shelf.join(format!("{:032x}-0.part", 7));
    fs::File::create(&leftover).unwrap().set_len(BLOCK as u64).unwrap();
    let most = 3 * (BLOCK as u64 + TRAILER);
    let remote = Remote::with(&[("a", &pattern(3 * BLOCK))]);
    assert!(read(&cached(&remote, folder.path(), most), "a") == pattern(3 * BLOCK));
    assert!(!leftover.exists() && held(folder.path()) <= most);
}

/// Who waits for another's fetch goes on when that one is gone.
#[test]
fn a_lock_ends_with_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let remote = Remote::with(&[("a", &pattern(100))]);
    read(&cached(&remote, folder.path(), 1 << 30), "a");
    let (path, _) = files(folder.path()).remove(0);
    fs::remove_file(&path).unwrap();
    let part = PathBuf::from(format!("{}.part", path.display()));
    let holder = fs::File::create(&part).unwrap();
    flock(&holder, FlockOperation::LockExclusive).unwrap();
    let store = cached(&remote, folder.path(), 1 << 30);
    thread::scope(|scope| {
        let reader = scope.spawn(|| read(&store, "a"));
        drop(holder); // as the kernel does for a process that dies
        assert_eq!(reader.join().unwrap(), pattern(100));
    });
    assert!(path.exists() && !part.exists());
}
