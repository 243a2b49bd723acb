//! The layout of the model repository: what counts, what does not, and what is said about it.

mod layouts;

use std::fs;

use super::*;

struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes files, making the folders that they need.
    fn with(self, files: &[&str]) -> Self {
        files.iter().for_each(|file| self.write(file, "content"));
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn folder(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
    }

    #[cfg(unix)]
    fn link(&self, target: &str, path: &str) {
        std::os::unix::fs::symlink(target, self.path(path)).unwrap();
    }

    fn open(&self) -> Repository {
        Repository::open(self.0.path(), 100).unwrap()
    }

    fn models(&self) -> (Vec<String>, Vec<String>) {
        let (names, ignored) = self.open().models().unwrap();
        (names.iter().map(ToString::to_string).collect(), ignored)
    }

    fn find(&self, model: &str) -> Result<FoundModel> {
        self.open().find(&ModelName::parse(model).unwrap())
    }

    fn versions(&self, model: &str) -> Vec<String> {
        self.find(model).unwrap().versions.iter().map(|found| found.version.to_string()).collect()
    }

    /// The only version of `m`.
    fn version(&self) -> FoundVersion {
        self.find("m").unwrap().versions.remove(0)
    }
}

#[test]
fn a_folder_that_is_not_there_or_is_a_file_is_explained() {
    let scene = Scene::new().with(&["file"]);
    let missing = Repository::open(&scene.path("nowhere"), 1).unwrap_err();
    assert_eq!(missing.code(), ErrorCode::NotFound);
    assert!(missing.to_string().contains("<model>/<version>/model.onnx"), "{missing}");
    let file = Repository::open(&scene.path("file"), 1).unwrap_err();
    assert!(file.to_string().contains("is not a folder"), "{file}");
}

#[test]
fn models_are_folders_that_hold_a_version_a_file_or_a_manifest() {
    let scene = Scene::new().with(&[
        "versioned/1/model.onnx",
        "flat/model.onnx",
        "described/model.toml",
        "broken/2/other.onnx",
        "notes/README.md",
        "README.md",
        ".git/1/model.onnx",
        "bad name/1/model.onnx",
        "-x/1/model.onnx",
    ]);
    let (names, ignored) = scene.models();
    assert_eq!(names, ["broken", "described", "flat", "versioned"]);
    assert_eq!(ignored.len(), 3, "{ignored:?}");
    assert!(ignored.iter().any(|why| why == "notes holds neither model.onnx nor a version folder"), "{ignored:?}");
    assert!(ignored.iter().any(|why| why.contains("\"bad name\"")), "{ignored:?}");
    assert!(ignored.iter().any(|why| why.contains("\"-x\"")), "{ignored:?}");
}

#[test]
fn versions_are_ordered_by_number_and_what_only_looks_like_one_is_ignored_with_its_reason() {
    let scene = Scene::new().with(&[
        "m/10/model.onnx",
        "m/2/model.onnx",
        "m/1.4.0/model.onnx",
        "m/01/model.onnx",
        "m/v1/model.onnx",
        "m/0/model.onnx",
        "m/7/weights.bin",
        "m/3",
        "m/notes.md",
    ]);
    scene.folder("m/8/model.onnx");
    assert_eq!(scene.versions("m"), ["1.4.0", "2", "10"]);
    let ignored = scene.find("m").unwrap().ignored;
    for reason in [
        "m/0 is not a version number",
        "m/01 is not a version number",
        "m/v1 is not a version number",
        "7 holds no file model.onnx",
        "8 holds no file model.onnx",
    ] {
        assert!(ignored.iter().any(|why| why == reason), "{reason} is not in {ignored:?}");
    }
    assert_eq!(ignored.len(), 5, "{ignored:?}");
}

#[test]
fn a_file_beside_the_manifest_is_version_1_unless_there_are_version_folders() {
    let scene = Scene::new().with(&["m/model.onnx"]);
    assert_eq!(scene.versions("m"), ["1"]);
    assert_eq!(scene.version().folder, scene.open().root().join("m"));
    scene.write("m/5/model.onnx", "x");
    assert_eq!(scene.versions("m"), ["5"]);
}

#[test]
fn a_model_without_a_version_to_serve_says_what_was_there() {
    let scene = Scene::new().with(&["m/v2/model.onnx"]);
    let error = scene.find("m").unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidModel);
    assert_eq!(
        error.to_string(),
        "model 'm' has no version to serve (m/v2 is not a version number); put the file at <model>/1/model.onnx"
    );
    let error = scene.find("n").unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (ErrorCode::NotFound, "model 'n' is not in the repository"));
    scene.write("file", "x");
    assert_eq!(scene.find("file").unwrap_err().code(), ErrorCode::NotFound);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_at_any_level() {
    let scene = Scene::new().with(&["real/1/model.onnx", "m/1/model.onnx"]);
    scene.link("real", "linked");
    scene.link("../real/1", "m/2");
    scene.folder("m/3");
    scene.link("../../real/1/model.onnx", "m/3/model.onnx");
    scene.folder("flat");
    scene.link("../real/1/model.onnx", "flat/model.onnx");
    let (names, ignored) = scene.models();
    assert_eq!(names, ["flat", "m", "real"]);
    assert_eq!(ignored, ["\"linked\" is a link; links are not followed"]);
    assert_eq!(scene.find("linked").unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(scene.versions("m"), ["1"]);
    let ignored = scene.find("m").unwrap().ignored;
    let why = "is a link; links are not followed; put what it leads to in its place";
    assert_eq!(ignored, [format!("m/2 {why}"), format!("3/model.onnx {why}")]);
    assert!(scene.find("flat").unwrap_err().to_string().contains("is a link"));
    // What becomes a link after it was found is not followed either.
    let found = scene.version();
    fs::remove_file(scene.path("m/1/model.onnx")).unwrap();
    scene.link("../../real/1/model.onnx", "m/1/model.onnx");
    assert!(scene.open().read_model(&found).unwrap_err().to_string().contains("link"));
}

#[cfg(unix)]
#[test]
fn manifests_and_golden_pairs_are_not_read_through_links() {
    let scene = Scene::new().with(&["m/1/model.onnx"]);
    scene.write("elsewhere.toml", "title = \"x\"\n");
    scene.link("../elsewhere.toml", "m/model.toml");
    assert!(scene.find("m").unwrap_err().to_string().contains("model.toml is a link; links are not followed"));
    fs::remove_file(scene.path("m/model.toml")).unwrap();
    scene.link("../../elsewhere.toml", "m/1/golden.json");
    let error = scene.open().read_golden(&scene.version()).unwrap_err();
    assert!(error.to_string().contains("golden.json is a link; links are not followed"), "{error}");
}

#[test]
fn a_model_file_that_is_empty_too_large_or_gone_is_refused() {
    let scene = Scene::new();
    scene.write("m/1/model.onnx", "");
    let read = || scene.open().read_model(&scene.version());
    let error = read().unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (ErrorCode::InvalidModel, "model.onnx is empty"));
    scene.write("m/1/model.onnx", &"x".repeat(101));
    assert_eq!(
        read().unwrap_err().to_string(),
        "model.onnx is too large; expected at most 100 bytes (limits.model_bytes_max), got 101 bytes"
    );
    scene.write("m/1/model.onnx", &"x".repeat(100));
    assert_eq!(read().unwrap().len(), 100);
    let found = scene.version();
    fs::remove_file(scene.path("m/1/model.onnx")).unwrap();
    let error = scene.open().read_model(&found).unwrap_err();
    assert!(error.to_string().starts_with("cannot read model.onnx: "), "{error}");
}

#[test]
fn manifests_and_golden_pairs_that_cannot_be_read_are_errors_and_absent_ones_are_not() {
    let scene = Scene::new().with(&["m/1/model.onnx"]);
    assert!(scene.find("m").unwrap().manifest.title.is_none());
    assert!(scene.open().read_golden(&scene.version()).unwrap().is_none());
    // A folder in the place of a file, and text that is not text: unreadable for everybody, root included.
    scene.folder("m/model.toml");
    assert!(scene.find("m").unwrap_err().to_string().contains("model.toml is not a file"));
    fs::remove_dir(scene.path("m/model.toml")).unwrap();
    fs::write(scene.path("m/model.toml"), b"title = \"\xFF\"").unwrap();
    assert!(scene.find("m").unwrap_err().to_string().contains("cannot read model.toml"));
    let large = fs::File::create(scene.path("m/model.toml")).unwrap();
    large.set_len(layout::TEXT_BYTES_MAX + 1).unwrap();
    assert!(scene.find("m").unwrap_err().to_string().contains("model.toml is too large; expected at most"));
    scene.write("m/model.toml", "title = 3\n");
    let error = scene.find("m").unwrap_err();
    assert!(error.place() == Some("m/model.toml") && error.code() == ErrorCode::InvalidModel, "{error}");
    fs::remove_file(scene.path("m/model.toml")).unwrap();
    scene.write("m/1/golden.json", "[]");
    let error = scene.open().read_golden(&scene.version()).unwrap_err();
    assert_eq!((error.code(), error.place()), (ErrorCode::InvalidModel, Some("golden.json")));
}

/// A model file without permission to read it. Root may read everything, and then it is read.
#[cfg(unix)]
#[test]
fn a_file_without_permission_is_refused_unless_we_are_root() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new().with(&["m/1/model.onnx"]);
    let path = scene.path("m/1/model.onnx");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let read = scene.open().read_model(&scene.version());
    match fs::File::open(&path) {
        Ok(_) => assert_eq!(read.unwrap(), b"content"),
        Err(_) => assert!(read.unwrap_err().to_string().starts_with("cannot read model.onnx: ")),
    }
}

#[cfg(unix)]
#[test]
fn what_is_neither_file_nor_folder_is_not_opened() {
    let scene = Scene::new().with(&["m/1/model.onnx"]);
    fs::remove_file(scene.path("m/1/model.onnx")).unwrap();
    // Opening a socket fails and reading a pipe would wait for ever; a socket can be made without `unsafe`.
    let _socket = std::os::unix::net::UnixListener::bind(scene.path("m/1/model.onnx")).unwrap();
    let error = scene.find("m").unwrap_err();
    assert!(error.to_string().contains("1 holds no file model.onnx"), "{error}");
    let _manifest = std::os::unix::net::UnixListener::bind(scene.path("m/model.toml")).unwrap();
    assert!(scene.find("m").unwrap_err().to_string().contains("model.toml is not a file"));
}

#[test]
fn a_name_never_leads_out_of_the_repository() {
    let scene = Scene::new().with(&["repository/m/1/model.onnx", "secret/1/model.onnx"]);
    for name in ["..", "../secret", "m/../../secret", "/etc", ".", "m/1", "m\0", "..\\secret", "%2e%2e"] {
        assert!(ModelName::parse(name).is_err(), "{name:?}");
    }
    let repository = Repository::open(&scene.path("repository"), 100).unwrap();
    assert!(!repository.has(&ModelName::parse("secret").unwrap()));
    assert!(repository.has(&ModelName::parse("m").unwrap()));
}

#[test]
fn the_fingerprint_changes_with_each_file_that_matters_and_with_no_other() {
    let scene = Scene::new().with(&["m/1/model.onnx"]);
    let mut last = scene.version().fingerprint;
    assert_eq!(scene.version().fingerprint, last);
    for file in ["m/1/model.onnx", "m/model.toml", "m/1/golden.json", "m/1/golden.json"] {
        let longer = fs::metadata(scene.path(file)).map_or(0, |before| before.len()) + 1;
        scene.write(file, &"#".repeat(usize::try_from(longer).unwrap()));
        let next = scene.version().fingerprint;
        assert_ne!(next, last, "{file}");
        last = next;
    }
    // Another file of the same length, moved to its place: what `mv` and most deployments do.
    scene.write("m/new", "other!!!");
    scene.write("m/1/model.onnx", "content!");
    last = scene.version().fingerprint;
    fs::rename(scene.path("m/new"), scene.path("m/1/model.onnx")).unwrap();
    assert_ne!(scene.version().fingerprint, last);
    last = scene.version().fingerprint;
    // Weights beside the graph count, whatever their name; what lies outside the version does not.
    scene.write("m/1/weights.bin", "x");
    assert_ne!(scene.version().fingerprint, last);
    last = scene.version().fingerprint;
    scene.write("m/README.md", "x");
    assert_eq!(scene.version().fingerprint, last);
}
