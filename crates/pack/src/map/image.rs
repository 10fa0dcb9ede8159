//! Pictures resized, cropped and encoded, as MXNet's `im2rec` does while it packs.
//!
//! A picture is a field whose whole name is `jpg`, `jpeg`, `png` or `webp`; `seg.png` is another
//! field and stays as it is. One that is as asked for already stays byte for byte.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{Answer, Mapper, Sample, Trouble, Verdict};

/// What is done to pictures, in this order: turned upright, cropped, resized, coloured, encoded.
///
/// EXIF's orientation is applied to the pixels; what is encoded has no EXIF, colour profile or other
/// metadata any more. `im2rec` resizes up as well as down, and encodes every picture again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageOptions {
    /// Length of the shorter edge in pixels; the other keeps the ratio, rounded down. None resizes
    /// nothing.
    pub resize: Option<u32>,
    /// Whether smaller pictures grow, too. Default: they stay as large as they are.
    pub resize_up: bool,
    /// Cuts out the square in the middle first.
    pub center_crop: bool,
    /// Format of what is encoded. Default JPEG.
    pub encoding: Encoding,
    /// Quality of JPEG, 1 to 100. None is 95, and only for pictures that need to be encoded.
    pub quality: Option<u8>,
    /// Colours. Default: as they are.
    pub colour: Colour,
    /// Most pixels of a picture: one that claims more is an error before it is decoded. Default
    /// 50 million; a pixel takes up to 8 bytes of memory while it is decoded, and copies of it as
    /// much again, in each thread and beside `--memory`.
    pub max_pixels: u64,
}

/// Format of a picture that is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// JPEG; transparency is lost.
    #[default]
    Jpg,
    /// PNG; loses nothing.
    Png,
}

/// Colours of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// As they are, as far as the format has a place for them.
    #[default]
    Keep,
    /// Three channels of 8 bits.
    Rgb,
    /// One channel of 8 bits.
    Grey,
}

/// Quality of JPEG where none is asked for, as `im2rec` has it.
const QUALITY: u8 = 95;
/// Bytes of a pixel at most: four channels of 16 bits.
const PIXEL: u64 = 8;

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            resize: None,
            resize_up: false,
            center_crop: false,
            encoding: Encoding::Jpg,
            quality: None,
            colour: Colour::Keep,
            max_pixels: 50_000_000,
        }
    }
}

impl ImageOptions {
    /// What decides bytes, as flags and values.
    pub(super) fn describe(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![("encoding", self.encoding.name().to_owned())];
        all.extend(self.resize.map(|edge| ("resize", edge.to_string())));
        all.extend(self.resize_up.then(|| ("resize-up", "yes".to_owned())));
        all.extend(self.center_crop.then(|| ("center-crop", "yes".to_owned())));
        all.extend(self.quality.map(|quality| ("quality", quality.to_string())));
        if self.colour != Colour::Keep {
            all.push(("color", format!("{:?}", self.colour).to_lowercase()));
        }
        all
    }

    /// The picture as it is to be; none where it is so already. Fails with the reason.
    fn paint(&self, body: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let broken = |error: image::ImageError| error.to_string();
        let mut reader = ImageReader::new(Cursor::new(body))
            .with_guessed_format()
            .map_err(|error| error.to_string())?;
        let format = reader.format();
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(self.max_pixels.saturating_mul(PIXEL));
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(broken)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(format!(
                "{width} x {height} pixels, over --max-pixels {}",
                self.max_pixels
            ));
        }
        let orientation = decoder.orientation().map_err(broken)?;
        let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
        let colour = picture.color();
        picture.apply_orientation(orientation);
        if self.center_crop {
            picture = cropped(picture);
        }
        if let Some((width, height)) = self.size(picture.width(), picture.height()) {
            picture = picture.resize_exact(width, height, FilterType::Triangle);
        }
        let picture = self.coloured(picture);
        let same = orientation == Orientation::NoTransforms
            && (width, height) == (picture.width(), picture.height())
            && colour == picture.color()
            && format == Some(self.encoding.format())
            && self.quality.is_none();
        if same { Ok(None) } else { self.encoded(&picture).map(Some) }
    }

    /// The size that a picture is to have, where that is another one.
    fn size(&self, width: u32, height: u32) -> Option<(u32, u32)> {
        let edge = self.resize?;
        let short = width.min(height);
        if short == edge || short == 0 || (short < edge && !self.resize_up) {
            return None;
        }
        let scaled = |len: u32| (u64::from(len) * u64::from(edge) / u64::from(short)) as u32;
        let (width, height) = (scaled(width), scaled(height));
        // A picture may not grow past what one is allowed to have.
        (u64::from(width) * u64::from(height) <= self.max_pixels).then_some((width, height))
    }

    fn coloured(&self, picture: DynamicImage) -> DynamicImage {
        match (self.colour, self.encoding) {
            (Colour::Rgb, _) => picture.into_rgb8().into(),
            (Colour::Grey, _) => picture.into_luma8().into(),
            (Colour::Keep, Encoding::Png) => picture,
            // JPEG knows one channel or three.
            (Colour::Keep, Encoding::Jpg) if picture.color().has_color() => {
                picture.into_rgb8().into()
            }
            (Colour::Keep, Encoding::Jpg) => picture.into_luma8().into(),
        }
    }

    fn encoded(&self, picture: &DynamicImage) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let written = match self.encoding {
            Encoding::Jpg => {
                let quality = self.quality.unwrap_or(QUALITY).clamp(1, 100);
                picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))
            }
            Encoding::Png => picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png),
        };
        written.map(|()| bytes).map_err(|error| error.to_string())
    }
}

impl Encoding {
    /// Name of the field that a picture becomes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
        }
    }

    fn format(self) -> ImageFormat {
        match self {
            Self::Jpg => ImageFormat::Jpeg,
            Self::Png => ImageFormat::Png,
        }
    }
}

/// The square in the middle.
fn cropped(picture: DynamicImage) -> DynamicImage {
    let (width, height) = (picture.width(), picture.height());
    let edge = width.min(height);
    match width == height {
        true => picture,
        false => picture.crop_imm((width - edge) / 2, (height - edge) / 2, edge, edge),
    }
}

/// Maps the pictures of samples, in the thread that asks.
pub(super) struct Painter<'a> {
    options: &'a ImageOptions,
}

impl<'a> Painter<'a> {
    pub(super) fn new(options: &'a ImageOptions) -> Self {
        Self { options }
    }
}

impl Mapper for Painter<'_> {
    fn map(&mut self, sample: &Sample) -> Result<Answer, Trouble> {
        let (mut fields, mut bytes) = (Vec::new(), Vec::new());
        for (name, body) in &sample.fields {
            let failed = |reason: String| Trouble::Sample {
                reason: format!("field {name:?}: {reason}"),
                said: Vec::new(),
            };
            let painted = match name.as_str() {
                "jpg" | "jpeg" | "png" | "webp" => {
                    // A decoder that panics must not take the run's other pictures with it.
                    catch_unwind(AssertUnwindSafe(|| self.options.paint(body)))
                        .map_err(|_| failed("the decoder gave up".into()))?
                        .map_err(failed)?
                }
                _ => None,
            };
            fields.push(match painted {
                None => (name.clone(), None),
                Some(painted) => {
                    let start = bytes.len();
                    bytes.extend(painted);
                    (self.options.encoding.name().to_owned(), Some(start..bytes.len()))
                }
            });
        }
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        match fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(Trouble::Sample {
                reason: format!("two pictures would be called {}", pair[0].0),
                said: Vec::new(),
            }),
            None => Ok(Answer { verdict: Verdict::Fields { fields, label: None }, bytes }),
        }
    }
}

#[cfg(test)]
mod tests;
