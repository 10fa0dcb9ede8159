//! Shards under new names, proved.

use shardpack_formats::Crc64Nvme;
use shardpack_manifest::Shard;
use shardpack_store::{Copied, Object, Store};

use crate::parallel::check_stopped;
use crate::progress::Progress;
use crate::{Error, Result};

/// Bytes that are read at a time: a part of an upload.
const PIECE: u64 = 8 << 20;

/// Copies a shard, which messages call `called`, to `path`; what is there then has its CRC-64/NVME.
pub(super) fn copy(
    from: &dyn Store,
    row: &Shard,
    called: &str,
    store: &dyn Store,
    path: &str,
    progress: &Progress,
) -> Result<()> {
    let wrong = |reason: String| Error::Shard { shard: called.to_owned(), reason };
    let object = from.open(&row.path)?;
    if object.len() != row.bytes {
        return Err(wrong(format!("{} bytes, its manifest says {}", object.len(), row.bytes)));
    }
    let damaged = |crc: u64| {
        wrong(format!(
            "CRC-64/NVME {crc:016x}, its manifest says {:016x}: damaged; see `shardpack verify`",
            row.crc64nvme
        ))
    };
    let copied = match from.address(&row.path) {
        Some(address) => store.copy(path, &address)?,
        None => None,
    };
    if let Some(copied) = copied {
        let crc = match copied {
            Copied::Checked(crc) => {
                progress.add(0, row.bytes);
                crc
            }
            Copied::Unchecked => read(&*store.open(path)?, row, progress, &mut |_, _| Ok(()))?,
        };
        return match crc == row.crc64nvme {
            true => Ok(()),
            false => store.remove(path).map_err(Error::from).and(Err(damaged(crc))),
        };
    }
    let upload = store.create(path, Some(row.bytes))?;
    let crc = read(&*object, row, progress, &mut |at, bytes| upload.write_at(at, bytes))?;
    match crc == row.crc64nvme {
        true => Ok(upload.seal(row.bytes, Some(row.crc64nvme))?),
        false => Err(damaged(crc)),
    }
}

/// Reads a shard and hands it on piece by piece; gives its CRC-64/NVME.
fn read(
    object: &dyn Object,
    row: &Shard,
    progress: &Progress,
    take: &mut dyn FnMut(u64, &[u8]) -> shardpack_store::Result<()>,
) -> Result<u64> {
    let mut buffer = vec![0; PIECE.min(row.bytes) as usize];
    let (mut at, mut crc) = (0, Crc64Nvme::default());
    while at < row.bytes {
        check_stopped(progress)?;
        let want = buffer.len().min((row.bytes - at) as usize);
        let read = object.read_at(at, &mut buffer[..want])?;
        if read == 0 {
            let reason = format!("ends at byte {at} of {}", row.bytes);
            return Err(Error::Shard { shard: row.path.clone(), reason });
        }
        crc.update(&buffer[..read]);
        take(at, &buffer[..read])?;
        at += read as u64;
        progress.add(0, read as u64);
    }
    Ok(crc.value())
}
