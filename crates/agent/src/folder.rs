//! File systems as channels: EFS and FSx for Lustre, which this machine has mounted already.

use std::path::{Component, Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{MountFlags, mount_bind, mount_remount};
use shardpack_channel::{FileSystemSource, FileSystemType};

use crate::{Error, Result, fast};

/// Where the folder of a `DirectoryPath` is here: below `mounted`, or at that very path.
///
/// EFS's paths start at its root. Lustre's start with the name under which it is mounted, which is
/// `mounted` itself (SageMaker API, `FileSystemDataSource`).
///
/// Fails for a path that leads out of the file system.
pub(crate) fn find(source: &FileSystemSource, mounted: Option<&Path>) -> Result<PathBuf> {
    let path = Path::new(&source.path);
    let Some(mounted) = mounted else { return Ok(path.to_owned()) };
    let mut below = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => below.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                let (path, id) = (&source.path, &source.id);
                let reason = format!("DirectoryPath {path:?} leads out of {id}: leave .. out");
                return Err(Error::job(reason));
            }
        }
    }
    let name = usize::from(source.kind == FileSystemType::FSxLustre);
    Ok(below.into_iter().skip(name).fold(mounted.to_owned(), |path, name| path.join(name)))
}

/// Shows a folder at another path, where nobody can write to it. False where this process may not.
pub(crate) fn bind_read_only(from: &Path, at: &Path) -> Result<bool> {
    if mount_bind(from, at).is_err() {
        return Ok(false);
    }
    // What else the mount forbids it forbids here too: this call sets all of it anew.
    let found = statvfs(from).map_err(|errno| Error::io(errno, from))?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
    ];
    let kept = kept.into_iter().filter(|(flag, _)| found.contains(*flag)).map(|(_, flag)| flag);
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |all, flag| all | flag);
    match mount_remount(at, flags, "") {
        Ok(()) => Ok(true),
        Err(_) => {
            fast::detach(at);
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardpack_channel::AccessMode;

    #[test]
    fn folders_are_found_below_where_the_file_system_is_mounted() {
        use FileSystemType::{Efs, FSxLustre};
        for (kind, path, mounted, wanted) in [
            (Efs, "/", Some("/mnt/efs"), Some("/mnt/efs")),
            (Efs, "/a/b/", Some("/mnt/efs"), Some("/mnt/efs/a/b")),
            (Efs, "/a//./b", Some("/mnt/efs"), Some("/mnt/efs/a/b")),
            (Efs, "/a/b", None, Some("/a/b")),
            (Efs, "/a/../../etc", Some("/mnt/efs"), None),
            (FSxLustre, "/fsx", Some("/mnt/lustre"), Some("/mnt/lustre")),
            (FSxLustre, "/wxyz/a/b", Some("/mnt/lustre"), Some("/mnt/lustre/a/b")),
            (FSxLustre, "/fsx/..", Some("/mnt/lustre"), None),
            (FSxLustre, "/fsx/a", None, Some("/fsx/a")),
        ] {
            let (id, path) = ("fs-01234567".to_owned(), path.to_owned());
            let source = FileSystemSource { id, kind, access: AccessMode::ReadOnly, path };
            let found = find(&source, mounted.map(Path::new));
            assert_eq!(found.ok().as_deref(), wanted.map(Path::new), "{source:?}");
        }
    }
}
