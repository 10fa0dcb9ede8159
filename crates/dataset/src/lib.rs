//! Shards in a store: which there are, of which format, and what their manifest and indexes say.
//!
//! [`Dataset`] is where packing's way back (verify, unpack, reshape) and the training reader meet:
//! both must find the same shards and believe the same index.

mod error;
mod find;
mod index;
mod input;
mod mix;
mod open;
mod places;
mod version;

pub use error::{Error, Result};
pub use index::{examine, index, proved};
pub use input::{PIECE, ShardReader};
pub use mix::{Mixing, WINDOW, mixing, planned, present};
pub use open::{Dataset, DatasetShard, ForeignOptions};
pub use places::{MANIFEST, PLAN, STAGING, index_path, read, staged};
pub use version::{VERSIONS, kept, manifest, pinned, versions};
