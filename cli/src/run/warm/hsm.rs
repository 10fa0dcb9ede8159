//! Asking Lustre for files: `lfs hsm_restore` returns at once, and `lfs hsm_state` tells when a file
//! has its bytes (FSx for Lustre user guide, "Preloading files into your file system"). The metadata
//! server bears a few thousand restores at a time, so only so many are under way.

use std::collections::VecDeque;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use super::{Cold, Pace, Report};
use crate::exit::{Failure, Result};

/// Files of one command: their names must fit its arguments.
const GROUP: usize = 200;
/// How long to wait before looking again: doubled each time in which nothing came.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_MOST: Duration = Duration::from_secs(10);
/// How long nothing may come before this is given up.
const STALLED: Duration = Duration::from_secs(600);

/// Has all files restored, at most `batch` at a time.
pub(super) fn restore(files: &[Cold], batch: usize, pace: &mut Pace) -> Result<Report> {
    lfs("--version", &[])?;
    let mut report = Report { already: Some(0), ..Report::default() };
    let mut left = files.chunks(GROUP.min(batch)).peekable();
    let mut coming: VecDeque<&Cold> = VecDeque::new();
    let (mut look, mut last) = (LOOK, Instant::now());
    while left.peek().is_some() || !coming.is_empty() {
        while let Some(group) = left.next_if(|group| coming.len() + group.len() <= batch) {
            let group: Vec<&Cold> = group.iter().collect();
            let (released, there) = states(&group)?;
            there.iter().for_each(|file| report.warmed(file));
            report.already = report.already.map(|already| already + there.len() as u64);
            if !released.is_empty() {
                checked("hsm_restore", &released)?;
                coming.extend(released);
            }
            pace.tell(&report);
        }
        let came = arrived(&mut coming, &mut report)?;
        pace.tell(&report);
        if came {
            (look, last) = (LOOK, Instant::now());
        } else if last.elapsed() > STALLED && !coming.is_empty() {
            return Err(stalled(&coming));
        } else if !coming.is_empty() {
            thread::sleep(look);
            look = (look * 2).min(LOOK_MOST);
        }
    }
    Ok(report)
}

/// Takes those out that have their bytes; tells whether there were any.
fn arrived(coming: &mut VecDeque<&Cold>, report: &mut Report) -> Result<bool> {
    let before = coming.len();
    let mut still = VecDeque::new();
    for group in coming.make_contiguous().chunks(GROUP) {
        let (released, there) = states(group)?;
        there.iter().for_each(|file| report.warmed(file));
        still.extend(released);
    }
    *coming = still;
    Ok(coming.len() < before)
}

fn stalled(coming: &VecDeque<&Cold>) -> Failure {
    let first = coming.front().map_or(String::new(), |file| file.path.display().to_string());
    Failure::new(format!(
        "{} files are still released {} s after the last one came; the first is {first}",
        coming.len(),
        STALLED.as_secs()
    ))
    .hint("see `lfs hsm_action` on it, and whether the file system's link to S3 is in order")
}

/// Files that have no bytes, and files that have.
fn states<'f>(files: &[&'f Cold]) -> Result<(Vec<&'f Cold>, Vec<&'f Cold>)> {
    let output = checked("hsm_state", files)?;
    let states = parse(&output.stdout, files).ok_or_else(|| {
        Failure::new("lfs hsm_state: its answer is not a line for each file that it was asked for")
            .hint("run without --hsm: reading a byte of each file does the same")
    })?;
    let both: Vec<(&Cold, bool)> = files.iter().copied().zip(states).collect();
    let of = |wanted: bool| {
        both.iter().filter(|(_, released)| *released == wanted).map(|(file, _)| *file).collect()
    };
    Ok((of(true), of(false)))
}

/// Whether each file is released: `PATH: (0x0000000d) released exists archived, archive_id:1`, a
/// line each and in order. A path is no more than compared: it may hold anything.
fn parse(answer: &[u8], files: &[&Cold]) -> Option<Vec<bool>> {
    let mut rest = answer;
    let one = |file: &&Cold| {
        let state = rest.strip_prefix(file.path.as_os_str().as_bytes())?.strip_prefix(b": (")?;
        let end = state.iter().position(|&byte| byte == b'\n')?;
        let (line, after) = state.split_at(end);
        rest = after.get(1..)?;
        Some(line.split(|byte| b" ,".contains(byte)).any(|word| word == b"released"))
    };
    let states: Option<Vec<bool>> = files.iter().map(one).collect();
    states.filter(|_| rest.is_empty())
}

fn checked(verb: &str, files: &[&Cold]) -> Result<Output> {
    let output = lfs(verb, files)?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("it said nothing").to_owned();
    let hint = "hsm_restore is root's; run without --hsm to read a byte of each file instead";
    Err(Failure {
        causes: vec![said],
        ..Failure::new(format!("lfs {verb}: failed, {}", output.status))
    }
    .hint(hint))
}

fn lfs(verb: &str, files: &[&Cold]) -> Result<Output> {
    let paths = files.iter().map(|file| file.path.as_os_str());
    let run = Command::new("lfs").arg(verb).args(paths).output();
    run.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new("--hsm: there is no lfs here").hint(
            "lfs comes with the Lustre client; run without --hsm to read a byte of each file instead",
        ),
        _ => Failure { causes: vec![error.to_string()], ..Failure::new("lfs: cannot be run") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_in_order_and_nothing_else_is() {
        let files: Vec<Cold> =
            ["/f/a: (b", "/f/released"].map(|path| Cold { path: path.into(), len: 1 }).into();
        let files: Vec<&Cold> = files.iter().collect();
        let good = "/f/a: (b: (0x0000000d) released exists archived, archive_id:1\n\
                    /f/released: (0x00000009) exists archived, archive_id:1\n";
        assert_eq!(parse(good.as_bytes(), &files), Some(vec![true, false]));
        let first = good.lines().next().expect("a line");
        for bad in ["", first, &good[1..], &format!("{good}more\n"), &good[..good.len() - 1]] {
            assert_eq!(parse(bad.as_bytes(), &files), None, "{bad:?}");
        }
    }
}
