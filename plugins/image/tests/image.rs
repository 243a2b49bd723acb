//! Tensors as Pillow and NumPy make them, by fixtures that `plugins/fixtures` makes; limits; files that are broken.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use candor_plugin_image::MODULE;
use candor_plugin_sdk::{
    Port, Status,
    testing::{Answer, Harness, Input},
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn open(config: &Value) -> Harness {
    Harness::new(&MODULE, "candor.image", &config.to_string()).unwrap()
}

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn files(files: &[&[u8]]) -> Input {
    Input::bytes("image", &[i64::try_from(files.len()).unwrap()], files)
}

fn one(config: &Value, file: &[u8]) -> Result<Answer, candor_plugin_sdk::Error> {
    open(config).run(&[files(&[file])])
}

fn refused(config: &Value, file: &[u8]) -> String {
    let error = one(config, file).err().unwrap();
    assert_eq!(error.status(), Status::Invalid, "{error}");
    error.message().to_owned()
}

/// How far two decoders of JPEG may be apart, in levels of 256: the standard leaves the rounding to them, and what
/// colours between two samples are. Largest and mean difference that were seen, with some room.
const JPEG_LARGEST: i32 = 4;
const JPEG_MEAN: f64 = 0.5;

#[test]
fn tensors_are_those_of_pillow() {
    let cases: Value = serde_json::from_slice(&read("images.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 40);
    for case in cases {
        let (name, config) = (case["file"].as_str().unwrap(), &case["config"]);
        let answer = one(config, &read(name)).unwrap_or_else(|error| panic!("{name} {config}: {error}"));
        let expected = STANDARD.decode(case["data"].as_str().unwrap()).unwrap();
        let shape: Vec<i64> = serde_json::from_value(case["shape"].clone()).unwrap();
        assert_eq!(answer.output("pixel_values").shape, shape, "{name} {config}");
        if config["datatype"] != "UINT8" {
            let expected = expected.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
            for (got, expected) in answer.values::<f32>("pixel_values").into_iter().zip(expected) {
                assert!((got - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{name} {config}: {got} {expected}");
            }
            continue;
        }
        let got = answer.values::<u8>("pixel_values");
        if name.ends_with(".png") {
            // Pillow's own arithmetic: not one level apart.
            assert!(got == expected, "{name} {config}");
            continue;
        }
        let apart: Vec<i32> = got.iter().zip(&expected).map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).collect();
        let largest = apart.iter().copied().max().unwrap();
        let mean = f64::from(apart.iter().sum::<i32>()) / f64::from(u32::try_from(apart.len()).unwrap());
        assert!(largest <= JPEG_LARGEST && mean <= JPEG_MEAN, "{name} {config}: largest {largest}, mean {mean}");
    }
}

#[test]
fn images_of_a_request_must_come_out_equal() {
    let (large, small) = (read("photo.png"), read("turned_1.png"));
    let crop = open(&json!({"resize": {"shortest": 16}, "crop": {"width": 16, "height": 16}}));
    let both = crop.run(&[files(&[&large, &small, &large])]).unwrap();
    assert_eq!(both.output("pixel_values").shape, [3, 3, 16, 16]);
    let numbers = both.values::<f32>("pixel_values");
    let alone = crop.run(&[files(&[&small])]).unwrap().values::<f32>("pixel_values");
    assert_eq!(numbers[3 * 256..2 * 3 * 256], alone);
    assert_eq!(numbers[..3 * 256], numbers[2 * 3 * 256..]);

    let whole = open(&json!({}));
    let error = whole.run(&[files(&[&large, &small])]).err().unwrap();
    assert!(error.message().starts_with("row 1 has 24x16 pixels and row 0 has 41x31"), "{error}");
    assert_eq!(whole.run(&[files(&[])]).unwrap().output("pixel_values").shape, [0, 3, 0, 0]);
    assert_eq!(crop.run(&[files(&[])]).unwrap().output("pixel_values").shape, [0, 3, 16, 16]);
}

#[test]
fn it_tells_its_inputs_and_outputs() {
    let told = open(&json!({"crop": {"width": 8, "height": 4}, "input": "file", "output": "x"})).describe().unwrap();
    assert_eq!(told.inputs, [Port::new("file", "BYTES", &[-1])]);
    assert_eq!(told.outputs, [Port::new("x", "FP32", &[-1, 3, 4, 8])]);
    let told = open(&json!({"layout": "NHWC", "channels": "gray", "datatype": "UINT8"})).describe().unwrap();
    assert_eq!(told.outputs, [Port::new("pixel_values", "UINT8", &[-1, -1, -1, 1])]);
}

/// A PNG file that says it has this size, and has next to nothing in it.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let nothing = [0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01];
    png(&[(b"IHDR", &header), (b"IDAT", &nothing), (b"IEND", &[])])
}

#[test]
fn bombs_are_refused_by_what_they_say_of_themselves() {
    let plain = json!({});
    let message = refused(&plain, &png_header(60_000, 60_000));
    assert_eq!(message, "row 0 of `image`: it has 60000x60000 pixels; at most 25000000 are decoded (pixels_max)");
    assert!(refused(&plain, &png_header(u32::MAX / 2, u32::MAX / 2)).contains("row 0 of `image`: it "));
    // A JPEG file says its size in 16 bits each.
    let mut large = read("photo.jpg");
    let at = large.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    large[at + 5..at + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    assert!(refused(&plain, &large).contains("65535x65535 pixels; at most 25000000 are decoded"));

    let photo = read("photo.png");
    assert!(one(&json!({"pixels_max": 41 * 31}), &photo).is_ok());
    let message = refused(&json!({"pixels_max": 41 * 31 - 1}), &photo);
    assert!(message.contains("41x31 pixels; at most 1270 are decoded (pixels_max)"), "{message}");
    assert!(one(&json!({"bytes_max": photo.len()}), &photo).is_ok());
    let message = refused(&json!({"bytes_max": photo.len() - 1}), &photo);
    assert!(message.ends_with("are read (bytes_max)"), "{message}");
    // What is small may be asked to become large.
    let message = refused(&json!({"resize": {"shortest": 8000}}), &photo);
    assert!(message.contains("resizing it takes 84640000; at most 25000000 are made"), "{message}");
    assert!(one(&json!({"resize": {"shortest": 5000}, "crop": {"width": 4, "height": 4}}), &photo).is_ok());
}

#[test]
fn what_is_no_image_is_refused() {
    let plain = json!({});
    for file in [&b""[..], b"GIF89a...........", b"hello", &[0xff; 64]] {
        assert_eq!(refused(&plain, file), "row 0 of `image`: it is neither a JPEG nor a PNG file");
    }
    assert!(refused(&plain, &png_header(4, 4)).contains("it cannot be decoded"));
    assert!(refused(&plain, b"\xff\xd8\xff\xe0").contains("it cannot be decoded"));
    let message = refused(&json!({"crop": {"width": 100, "height": 1}}), &read("photo.png"));
    assert_eq!(message, "row 0 of `image`: it has 41x31 pixels, and `crop` wants 100x1");
    let wide = Input::strings("image", &[1, 2], &["a", "b"]);
    let error = open(&plain).run(&[wide]).err().unwrap();
    assert_eq!(error.message(), "`image` has the shape [1, 2], expected one file for each row");
}

#[test]
fn configurations_that_cannot_be_are_refused() {
    for (config, says) in [
        (json!({"resize": {"shortest": 0}}), "`shortest` is 0; expected 1 to 8192"),
        (json!({"resize": {"width": 10, "height": 9000}}), "a `height` is 9000"),
        (
            json!({"resize": {"shortest": 10}, "crop": {"width": 11, "height": 1}}),
            "`crop` is 11x1, and `resize` gives 10x10",
        ),
        (json!({"resize": {"short": 10}}), "configuration: "),
        (json!({"mean": [0.5]}), "`mean` has 1 numbers; expected 3"),
        (json!({"std": [1, 0, 1]}), "every number of `std` above 0"),
        (json!({"channels": "gray", "std": [1, 1, 1]}), "`std` has 3 numbers; expected 1"),
        (json!({"datatype": "UINT8", "mean": [0, 0, 0]}), "with the `datatype` \"FP32\" only"),
        (json!({"filter": "nearest"}), "unknown variant `nearest`"),
        (json!({"size": 3}), "unknown field `size`"),
    ] {
        let error = Harness::new(&MODULE, "candor.image", &config.to_string()).err().unwrap();
        assert!(error.status() == Status::Invalid && error.message().contains(says), "{config}: {error}");
    }
}

/// Every beginning of a file, and files with wrong bytes, get an answer or an error, and never a panic.
#[test]
fn files_that_are_cut_are_no_panics() {
    let plain = open(&json!({}));
    for name in ["turned_6.jpg", "progressive.jpg", "palette.png"] {
        let file = read(name);
        for length in (0..file.len()).step_by(7) {
            if let Err(error) = plain.run(&[files(&[&file[..length]])]) {
                assert!(error.status() == Status::Invalid && !error.message().contains("panicked"), "{name}: {error}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn files_with_wrong_bytes_are_no_panics(
        which in 0_usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut file = read(["turned_3.jpg", "progressive.jpg", "cmyk.jpg", "alpha.png"][which]);
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Err(error) = open(&json!({})).run(&[files(&[&file])]) {
            prop_assert!(error.status() == Status::Invalid && !error.message().contains("panicked"), "{}", error);
        }
    }

    /// Weights sum to 1: a plain image stays as it is, whatever it is resized to.
    #[test]
    fn plain_images_stay_plain(level in any::<u8>(), width in 1_u32..70, height in 1_u32..70, filter in 0_usize..3) {
        let filter = ["bilinear", "bicubic", "lanczos"][filter];
        let gray = image_of(level);
        let config = json!({"resize": {"width": width, "height": height}, "filter": filter, "datatype": "UINT8"});
        let answer = one(&config, &gray).unwrap();
        prop_assert!(answer.values::<u8>("pixel_values").into_iter().all(|one| one == level));
    }
}

/// A PNG file of 5 by 3 pixels of one gray level, stored without compression.
fn image_of(level: u8) -> Vec<u8> {
    let mut rows = Vec::new();
    for _ in 0..3 {
        rows.push(0);
        rows.extend([level; 5]);
    }
    let mut adler = (1_u32, 0_u32);
    for &byte in &rows {
        adler.0 = (adler.0 + u32::from(byte)) % 65_521;
        adler.1 = (adler.1 + adler.0) % 65_521;
    }
    let length = u16::try_from(rows.len()).unwrap();
    let mut data = vec![0x78, 0x01, 0x01];
    data.extend(length.to_le_bytes());
    data.extend((!length).to_le_bytes());
    data.extend(&rows);
    data.extend(((adler.1 << 16) | adler.0).to_be_bytes());
    png(&[(b"IHDR", &[0, 0, 0, 5, 0, 0, 0, 3, 8, 0, 0, 0, 0]), (b"IDAT", &data), (b"IEND", &[])])
}

fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        file.extend(kind.iter().chain(*data));
        let crc = kind.iter().chain(*data).fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
        });
        file.extend((!crc).to_be_bytes());
    }
    file
}
