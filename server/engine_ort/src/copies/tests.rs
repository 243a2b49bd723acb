//! Copies of the sample models and of the fixtures: answered as the files are, and never used when damaged.

use std::os::unix::fs::PermissionsExt as _;

use candor_domain::{Cancel, Datatype, Engine as _, Shape, Signature, Tensor, TensorData};

use super::*;
use crate::OrtEngine;

fn settings(folder: &Path) -> CopySettings {
    CopySettings {
        folder: folder.to_path_buf(),
        bytes_max: 1 << 30,
        model_bytes_min: 0,
        twin_bytes_min: u64::MAX,
        step_back: || (),
    }
}

/// The library that a test of this crate finds: the one that `cargo xtask` names, or one above the test.
fn bare() -> OrtEngine {
    #[allow(clippy::disallowed_methods, reason = "a test that is handed the library by cargo xtask")]
    let configured = std::env::var_os("CANDOR_ORT_LIBRARY").map(PathBuf::from);
    let test = std::env::current_exe().unwrap();
    let folders: Vec<PathBuf> = test.ancestors().skip(1).map(Path::to_path_buf).collect();
    OrtEngine::try_new(configured.as_deref(), &folders, 1).unwrap()
}

fn engine(settings: CopySettings) -> OrtEngine {
    bare().with_copies(settings)
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn sample(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name)).unwrap()
}

fn source(bytes: &[u8]) -> ModelSource<'_> {
    ModelSource { bytes, folder: Path::new(".") }
}

fn recall(engine: &OrtEngine, bytes: &[u8]) -> Option<LoadedModel> {
    engine.copies().unwrap().look(bytes.len() as u64, None)?.load(&sha256(bytes))
}

fn copies(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| !path.ends_with("lock"));
    all.sort();
    all
}

/// Inputs that any of the samples takes.
fn inputs(signature: &Signature) -> Vec<Tensor> {
    let one = |spec: &candor_domain::TensorSpec| {
        let dims: Vec<i64> = spec.wire_shape().iter().map(|&dim| if dim < 0 { 3 } else { dim }).collect();
        let shape = Shape::new(&dims).unwrap();
        let count = shape.elements();
        let data = if spec.datatype == Datatype::Fp32 {
            TensorData::Fp32((0..count).map(|n| n as f32 * 0.37 % 5.0).collect())
        } else if spec.datatype == Datatype::Bytes {
            TensorData::Bytes((0..count).map(|n| n.to_string().into_bytes()).collect())
        } else {
            TensorData::zeros(spec.datatype, count)
        };
        Tensor::new(shape, data).unwrap()
    };
    signature.inputs.iter().map(one).collect()
}

fn answers(loaded: &LoadedModel) -> Vec<Tensor> {
    let wanted: Vec<usize> = (0..loaded.signature.outputs.len()).collect();
    loaded.session.run(&inputs(&loaded.signature), &wanted, Some(&Cancel::default())).unwrap()
}

/// Whether answers differ by no more than rounding does.
fn near(one: &[Tensor], other: &[Tensor]) -> bool {
    let close = |(one, other): (&f32, &f32)| (one - other).abs() <= 1e-5 * other.abs().max(1.0);
    one.iter().zip(other).all(|(one, other)| match (one.data(), other.data()) {
        (TensorData::Fp32(one), TensorData::Fp32(other)) => one.iter().zip(other).all(close),
        (one, other) => one == other,
    })
}

const SAMPLES: [&str; 9] = [
    "breast_cancer/1/model.onnx",
    "diabetes/1/model.onnx",
    "digits/1/model.onnx",
    "digits_rows/1/model.onnx",
    "iris/1/model.onnx",
    "iris/2/model.onnx",
    "simple/1/model.onnx",
    "simple_identity/1/model.onnx",
    "simple_string/1/model.onnx",
];

#[test]
fn a_copy_says_and_answers_what_its_file_does() {
    let folder = tempfile::tempdir().unwrap();
    for twin_bytes_min in [u64::MAX, 0] {
        let place = folder.path().join(twin_bytes_min.to_string());
        let engine = engine(CopySettings { twin_bytes_min, ..settings(&place) });
        let store = engine.copies().unwrap();
        for name in SAMPLES {
            let bytes = sample(name);
            let digest = sha256(&bytes);
            let of_file = engine.load(source(&bytes)).unwrap();
            assert!(recall(&engine, &bytes).is_none());
            assert!(store.wants(&digest, bytes.len() as u64));
            store.keep(source(&bytes), &digest).unwrap();
            assert!(!store.wants(&digest, bytes.len() as u64), "it is there");
            let of_copy = recall(&engine, &bytes).unwrap();
            assert_eq!(of_copy.signature, of_file.signature, "{name}");
            assert_eq!(of_copy.properties, of_file.properties, "{name}");
            assert_eq!(of_copy.cost_depends_on_values, of_file.cost_depends_on_values, "{name}");
            if twin_bytes_min == 0 {
                // Weights that have not been put in order are added up in another order.
                assert!(near(&answers(&of_copy), &answers(&of_file)), "{name}");
            } else {
                assert_eq!(answers(&of_copy), answers(&of_file), "{name}: every bit");
            }
        }
        assert_eq!(copies(&place).len(), SAMPLES.len());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place), 0o700);
        assert!(copies(&place).iter().all(|path| mode(path) == 0o600));
    }
}

#[test]
fn a_copy_that_is_damaged_cut_short_or_of_another_file_is_removed_and_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(settings(folder.path()));
    let (bytes, other) = (sample(SAMPLES[0]), sample(SAMPLES[2]));
    let digest = sha256(&bytes);
    let keep = |bytes: &[u8]| engine.copies().unwrap().keep(source(bytes), &sha256(bytes)).unwrap();
    keep(&bytes);
    let path = copies(folder.path()).remove(0);
    let good = fs::read(&path).unwrap();
    keep(&other);
    let foreign = copies(folder.path()).into_iter().find(|found| *found != path).unwrap();
    let foreign = fs::read(foreign).unwrap();
    let mut flipped = good.clone();
    let middle = good.len() / 2;
    flipped[middle] ^= 0x40;
    for bad in [flipped, good[..middle].to_vec(), Vec::new(), b"no copy at all".repeat(100), foreign] {
        fs::write(&path, &bad).unwrap();
        assert!(recall(&engine, &bytes).is_none());
        assert!(!path.exists(), "it is not tried again");
        assert!(engine.load(source(&bytes)).is_ok(), "the file is still there");
        assert!(engine.copies().unwrap().wants(&digest, bytes.len() as u64), "a new one may be made");
        keep(&bytes);
        assert!(recall(&engine, &bytes).is_some());
    }
    // Somebody may have cleared the folder.
    fs::remove_file(&path).unwrap();
    assert!(recall(&engine, &bytes).is_none());
}

#[test]
fn no_copy_stands_for_a_file_that_was_not_loaded_or_has_weights_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(settings(folder.path()));
    let store = engine.copies().unwrap();
    let bytes = sample(SAMPLES[0]);
    let wrong = sha256(b"another file");
    let why = store.keep(source(&bytes), &wrong).unwrap_err().to_string();
    assert!(why.contains("not the one that was loaded"), "{why}");
    assert!(!store.wants(&wrong, bytes.len() as u64), "it is not tried again and again");
    let refused = include_bytes!("../../../engine_conformance/fixtures/refused_dangling.onnx");
    assert!(store.keep(source(refused), &sha256(refused)).is_err(), "the scan holds for copies too");
    assert_eq!(copies(folder.path()), [] as [PathBuf; 0], "no draft stays");
}

#[test]
fn what_was_used_least_recently_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let first = engine(settings(folder.path()));
    let files: Vec<Vec<u8>> = ["iris/1", "diabetes/1", "breast_cancer/1"]
        .map(|name| sample(&format!("{name}/model.onnx")))
        .into_iter()
        .collect();
    let mut sizes = Vec::new();
    for file in &files {
        first.copies().unwrap().keep(source(file), &sha256(file)).unwrap();
        sizes.push(copies(folder.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>());
    }
    assert!(recall(&first, &files[0]).is_some(), "used once more");
    drop(first);
    // A draft of a server that was killed, and a bound that leaves room for all but one byte.
    fs::write(folder.path().join("x.draft"), "half").unwrap();
    let second = engine(CopySettings { bytes_max: sizes[2] - 1, ..settings(folder.path()) });
    assert!(!folder.path().join("x.draft").exists());
    assert!(recall(&second, &files[1]).is_none(), "it was used before the two others");
    assert!(recall(&second, &files[0]).is_some() && recall(&second, &files[2]).is_some());
    assert!(engine(settings(folder.path())).copies().is_none(), "the folder is in use");
    drop(second);
    let tiny = engine(CopySettings { bytes_max: 10, ..settings(folder.path()) });
    assert_eq!(copies(folder.path()).len(), 0);
    assert!(!tiny.copies().unwrap().wants(&sha256(&files[0]), files[0].len() as u64), "it can never fit");
}

/// Models of one architecture have files of one size, and there may be hundreds of them.
#[test]
fn of_many_copies_of_one_size_only_the_right_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(settings(folder.path()));
    let store = engine.copies().unwrap();
    let bytes = sample("iris/1/model.onnx");
    let at = bytes.windows(6).position(|part| part == b"sample").unwrap();
    let sisters: Vec<Vec<u8>> = (b'0'..b'5')
        .map(|digit| {
            let mut sister = bytes.clone();
            sister[at] = digit;
            store.keep(source(&sister), &sha256(&sister)).unwrap();
            sister
        })
        .collect();
    let wanted = &sisters[2];
    let (digest, size) = (sha256(wanted), wanted.len() as u64);
    // Whoever reads one of the others finds it damaged and removes it.
    for path in copies(folder.path()).iter().filter(|path| !path.to_string_lossy().contains(&digest)) {
        fs::write(path, "damaged").unwrap();
    }
    assert!(store.look(size, None).unwrap().load(&digest).is_some());
    assert!(store.look(size, Some(&digest)).unwrap().load(&digest).is_some());
    assert_eq!(copies(folder.path()).len(), sisters.len(), "nobody has read the others");
    assert!(store.look(size, Some(&sha256(b"another file"))).is_none());
    assert!(store.look(size, None).unwrap().load(&sha256(b"another file")).is_none());
}

#[test]
fn a_folder_that_others_may_write_into_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(engine(settings(folder.path())).copies().is_none());
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(engine(settings(&file)).copies().is_none());
}

#[test]
fn a_twin_takes_the_place_of_a_session_that_is_being_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(
        CopySettings { twin_bytes_min: 0, ..settings(folder.path()) },
        bare().maker().clone(),
        bare().info(),
    );
    let store = store.unwrap();
    let bytes = sample("digits/1/model.onnx");
    let want = answers(&bare().load(source(&bytes)).unwrap());
    let meet = |loaded: &LoadedModel| assert!(near(&answers(loaded), &want));
    store.keep(source(&bytes), &sha256(&bytes)).unwrap();
    for round in 1..=5 {
        let loaded = store.look(bytes.len() as u64, None).unwrap().load(&sha256(&bytes)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut waited = 0;
                    // Until the twin is there, and once more.
                    while store.twins.made() < round {
                        meet(&loaded);
                        waited += 1;
                        assert!(waited < 2_000_000, "the twin does not come");
                    }
                    assert_eq!(answers(&loaded), want, "the twin is what the file's session is");
                });
            }
        });
        // The copy may go while it is used.
        if round == 5 {
            store.remove(&store.name(&sha256(&bytes), bytes.len() as u64));
            assert_eq!(answers(&loaded), want);
        }
    }
    // One that goes at once takes its twin along, made or not.
    store.keep(source(&bytes), &sha256(&bytes)).unwrap();
    for _ in 0..20 {
        drop(store.look(bytes.len() as u64, None).unwrap().load(&sha256(&bytes)).unwrap());
    }
    assert!(store.twins.made() <= 25);
}
