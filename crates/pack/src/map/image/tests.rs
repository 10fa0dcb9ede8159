use image::{GrayImage, Rgb, RgbImage, RgbaImage};

use super::*;

/// Left half red, right half blue.
fn halves(width: u32, height: u32) -> DynamicImage {
    let colour = |x| if x < width / 2 { Rgb([220, 20, 20]) } else { Rgb([20, 20, 220]) };
    RgbImage::from_fn(width, height, |x, _| colour(x)).into()
}

fn bytes(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).expect("a picture");
    bytes
}

fn read(bytes: &[u8]) -> DynamicImage {
    image::load_from_memory(bytes).expect("a picture")
}

/// A JPEG with an EXIF segment that has nothing but an orientation.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff =
        [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[orientation, 0, 0, 0, 0, 0, 0, 0][..]]
            .concat();
    let segment = [&b"Exif\0\0"[..], &tiff].concat();
    let len = (segment.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &len, &segment, &jpeg[2..]].concat()
}

#[test]
fn sizes_follow_the_shorter_edge() {
    let options = |resize, up, max_pixels| ImageOptions {
        resize: Some(resize),
        resize_up: up,
        max_pixels,
        ..ImageOptions::default()
    };
    for (size, edge, up, want) in [
        ((200, 100), 50, false, Some((100, 50))),
        ((100, 201), 50, false, Some((50, 100))), // 100.5, rounded down
        ((100, 100), 100, true, None),
        ((100, 50), 80, false, None),
        ((100, 50), 80, true, Some((160, 80))),
        ((0, 0), 80, true, None),
        ((60_000, 1), 60_000, true, None), // more pixels than a picture may have
    ] {
        assert_eq!(options(edge, up, 50_000_000).size(size.0, size.1), want, "{size:?} {edge}");
    }
}

#[test]
fn pictures_are_cropped_resized_and_encoded() {
    let jpeg = bytes(&halves(120, 60), ImageFormat::Jpeg);
    let paint = |options: ImageOptions| options.paint(&jpeg).expect("a picture");
    let small = ImageOptions { resize: Some(30), ..ImageOptions::default() };
    let painted = read(&paint(small.clone()).expect("smaller"));
    assert_eq!((painted.width(), painted.height()), (60, 30));
    let square = ImageOptions { center_crop: true, ..small.clone() };
    let painted = read(&paint(square).expect("smaller")).into_rgb8();
    assert_eq!(painted.dimensions(), (30, 30));
    assert!(painted.get_pixel(2, 15)[0] > 150 && painted.get_pixel(27, 15)[2] > 150);
    let png = ImageOptions { encoding: Encoding::Png, colour: Colour::Grey, ..small };
    let png = paint(png).expect("smaller");
    assert_eq!(image::guess_format(&png).expect("a format"), ImageFormat::Png);
    assert_eq!(read(&png).color().channel_count(), 1);
    // The lower the quality, the fewer bytes.
    let quality =
        |quality| paint(ImageOptions { quality: Some(quality), ..ImageOptions::default() });
    assert!(quality(20).expect("bytes").len() < quality(95).expect("bytes").len());
}

#[test]
fn what_is_as_asked_for_stays_byte_for_byte() {
    let default = ImageOptions::default();
    let small = ImageOptions { resize: Some(100), center_crop: true, ..default.clone() };
    let jpeg = bytes(&halves(80, 80), ImageFormat::Jpeg);
    assert_eq!(small.paint(&jpeg), Ok(None));
    assert_eq!(small.paint(&turned(&jpeg, 1)), Ok(None));
    let grey = bytes(&GrayImage::new(9, 9).into(), ImageFormat::Jpeg);
    assert_eq!(default.paint(&grey), Ok(None));
    assert!(matches!(
        ImageOptions { colour: Colour::Rgb, ..default.clone() }.paint(&grey),
        Ok(Some(_))
    ));
    let png = bytes(&RgbaImage::new(9, 9).into(), ImageFormat::Png);
    assert_eq!(ImageOptions { encoding: Encoding::Png, ..default.clone() }.paint(&png), Ok(None));
    let webp = bytes(&halves(9, 9), ImageFormat::WebP);
    for other in [png, webp] {
        let painted = default.paint(&other).expect("a picture").expect("a JPEG");
        assert_eq!(image::guess_format(&painted).expect("a format"), ImageFormat::Jpeg);
    }
}

#[test]
fn exif_turns_the_pixels() {
    let jpeg = turned(&bytes(&halves(40, 20), ImageFormat::Jpeg), 6); // a quarter to the right
    let painted = ImageOptions::default().paint(&jpeg).expect("a picture").expect("another one");
    let upright = read(&painted).into_rgb8();
    assert_eq!(upright.dimensions(), (20, 40));
    assert!(upright.get_pixel(10, 5)[0] > 150, "red was left, and is at the top");
    assert!(upright.get_pixel(10, 35)[2] > 150);
    assert_eq!(ImageOptions::default().paint(&painted), Ok(None), "it has no EXIF any more");
}

#[test]
fn broken_and_huge_pictures_are_errors() {
    let options = ImageOptions { resize: Some(10), max_pixels: 5_000, ..ImageOptions::default() };
    let huge = options.paint(&bytes(&halves(100, 60), ImageFormat::Png)).expect_err("too many");
    assert!(huge.contains("100 x 60") && huge.contains("--max-pixels 5000"), "{huge}");
    // A header that claims 2^31 pixels a side, and nothing behind it.
    let mut bomb = bytes(&halves(10, 10), ImageFormat::Png);
    for at in [16, 20] {
        bomb[at..at + 4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    }
    assert!(options.paint(&bomb).is_err());
    let jpeg = bytes(&halves(80, 60), ImageFormat::Jpeg);
    for broken in [&b""[..], b"no picture", &jpeg[..20]] {
        assert!(options.paint(broken).is_err());
    }
}

#[test]
fn only_pictures_are_touched_and_two_never_become_one() {
    let options = ImageOptions { resize: Some(10), ..ImageOptions::default() };
    let mut painter = Painter::new(&options);
    let png = bytes(&halves(40, 20), ImageFormat::Png);
    let sample = |names: &[&str]| Sample {
        fields: names.iter().map(|name| ((*name).to_owned(), png.clone())).collect(),
        ..Sample::default()
    };
    let answer = painter.map(&sample(&["png", "seg.png", "txt"])).expect("an answer");
    let Verdict::Fields { fields, label: None } = answer.verdict else { panic!("fields") };
    let places: Vec<_> = fields.iter().map(|(name, place)| (&name[..], place.is_some())).collect();
    assert_eq!(places, [("jpg", true), ("seg.png", false), ("txt", false)]);
    let error = painter.map(&sample(&["png", "webp"])).expect_err("two of one name");
    let Trouble::Sample { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("two pictures would be called jpg"), "{reason}");
}
