//! Objects of S3.

use shardpack_store::{Object, S3Store, S3Tree, S3Uri, Store};

use super::super::s3;
use super::rules::Rules;
use super::{Opening, read_list};
use crate::exit::{Failure, Result};

/// One object, and what messages call it.
pub(super) fn object(uri: &S3Uri, opening: Opening<'_>) -> Result<(Box<dyn Object>, String)> {
    let s3 = s3::connect(uri, opening.s3, opening.limits, opening.log)?;
    let (folder, key) = uri.key().rsplit_once('/').unwrap_or(("", uri.key()));
    let folder: S3Uri = format!("s3://{}/{folder}", uri.bucket()).parse()?;
    Ok((S3Store::open(s3, folder).open(key)?, uri.to_string()))
}

/// Objects below a prefix, less what the rules leave out, or those that a list names.
pub(super) fn open(uri: &S3Uri, opening: Opening<'_>) -> Result<S3Tree> {
    let args = opening.files;
    let s3 = s3::connect(uri, opening.s3, opening.limits, opening.log)?;
    let Some(list) = &args.files_from else {
        let rules = Rules::new(args)?;
        return Ok(S3Tree::open(s3, uri, &|path| rules.leave_out(path))?);
    };
    let (names, flag) = read_list(list)?;
    let separator = if args.null { 0 } else { b'\n' };
    let folder = uri.clone().folder();
    let lines = names.split(|byte| *byte == separator).filter(|line| !line.is_empty());
    let uris: Result<Vec<S3Uri>> = (1..)
        .zip(lines)
        .map(|(number, line)| {
            let line = std::str::from_utf8(line).map_err(|_| {
                Failure::new(format!("{flag}, entry {number}: the name is no UTF-8"))
            })?;
            let address = match S3Uri::is_one(line) {
                true => line.to_owned(),
                false => format!("{folder}{line}"),
            };
            address.parse().map_err(|error| {
                let failure = Failure::from(error);
                Failure {
                    message: format!("{flag}, entry {number}: {}", failure.message),
                    ..failure
                }
            })
        })
        .collect();
    Ok(S3Tree::from_uris(s3, uris?, folder.to_string())?)
}
