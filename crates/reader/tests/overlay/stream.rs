//! A Pipe, with overlays that lie in files.

use super::*;

/// A container whose channel `train` is a FIFO of all shards, and `captions` a folder.
pub(super) struct Job {
    root: TempDir,
    writer: Option<JoinHandle<io::Result<()>>>,
}

impl Job {
    pub(super) fn new(base: &Memory, over: &Memory) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (data, config) = (root.path().join("input/data"), root.path().join("input/config"));
        fs::create_dir_all(&config).unwrap();
        let write = |store: &Memory, folder: &Path, wanted: fn(&str) -> bool| {
            for key in store.keys("").unwrap().into_iter().filter(|key| wanted(key)) {
                let path = folder.join(&key);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, shardpack_dataset::read(&**store, &key).unwrap()).unwrap();
            }
        };
        write(base, &data.join("manifest"), |key| !key.starts_with("shards/"));
        write(over, &data.join("captions"), |_| true);
        let channels = r#"{"train": {"TrainingInputMode": "Pipe"}, "manifest": {"TrainingInputMode": "File"},
            "captions": {"TrainingInputMode": "File"}}"#;
        fs::write(config.join("inputdataconfig.json"), channels).unwrap();
        let fifo = data.join("train_0");
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        let shards = manifest(base).shards.into_iter().rev();
        let read = |path: &str| shardpack_dataset::read(&**base, path).unwrap();
        let bytes: Vec<u8> = shards.flat_map(|shard| read(&shard.path)).collect();
        let writer = Some(thread::spawn(move || fs::write(fifo, bytes)));
        Self { root, writer }
    }

    pub(super) fn reader(
        &self,
        options: &ReadOptions,
        state: Option<&State>,
    ) -> Result<ChannelReader> {
        let base = self.root.path().as_os_str().to_owned();
        let env = |name: &str| (name == "SAGEMAKER_BASE_DIR").then(|| base.clone());
        let open = |name| Channel::find(name, None, &env);
        let train = open("train")?;
        let reader = match state {
            None => train.reader(options.clone()),
            Some(state) => train.resume(options.clone(), state),
        };
        reader?.overlaid(&[open("captions")?], options)
    }
}

/// The stream need not have been read to its end.
impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

#[test]
fn a_stream_has_the_fields_of_overlays_and_goes_on() {
    for (below, above) in [("webdataset", "tfrecord"), ("recordio", "webdataset")] {
        let base = base(below);
        let other = texts(&["txt"], |_| false);
        let over = laid(&base, &other, &format(above));
        let wanted = joined(&base, &other, if below == "recordio" { "tfrecord" } else { below });
        let options = options(0, 1);
        let (mut digest, mut seen) = (Digest::default(), BTreeSet::new());
        let mut state: Option<State> = None;
        for most in [37, usize::MAX] {
            let job = Job::new(&base, &over);
            let reader = job.reader(&options, state.as_ref()).unwrap();
            let mut samples = reader.epoch(0);
            for sample in samples.by_ref().take(most) {
                let sample = sample.unwrap();
                let text = sample.field("txt").unwrap();
                let number: usize = sample.key()[2..].parse().unwrap();
                assert!(text.starts_with(format!("txt {number}").as_bytes()), "{sample:?}");
                assert!(seen.insert(sample.key().to_owned()));
            }
            digest += samples.digest();
            state = samples.state();
            assert_eq!(samples.left(), Some(90 - seen.len() as u64));
            assert_eq!(samples.stats().samples as usize, if most == 37 { 37 } else { 53 });
        }
        assert_eq!((seen.len(), digest), (90, wanted), "{above} over {below}");

        // A record that an overlay cannot give is a damaged sample.
        let bad = damage(&over, 1, 2);
        let lost = |damage| {
            let mut options = options.clone();
            options.damage = damage;
            let job = Job::new(&base, &over);
            let mut samples = job.reader(&options, None).unwrap().epoch(0);
            let found: Vec<_> = samples.by_ref().collect();
            (found, samples.stats().skipped.clone())
        };
        let (found, _) = lost(Damage::Fail);
        let errors: Vec<_> = found.iter().filter_map(|found| found.as_ref().err()).collect();
        assert!(
            matches!(errors[..], [Error::Damaged(skipped)] if skipped.key == bad),
            "{errors:?}"
        );
        assert_eq!(found.len(), 90);
        let (found, skipped) = lost(Damage::Skip { most: 1 });
        let whole = found.into_iter().collect::<Result<Vec<_>>>().unwrap();
        assert_eq!((whole.len(), skipped.len(), &skipped[0].key), (90, 1, &bad));
        assert_eq!(whole.iter().filter(|sample| !sample.is_real()).count(), 1);
        assert!(whole.iter().all(|sample| sample.key() != bad));
    }
}
