//! `candor.image`: JPEG or PNG files to a tensor: decoded, turned upright, resized, cropped, normalised.
//!
//! Before it come files, after it a model of images. It resizes as Pillow does, to the last bit, and crops as
//! torchvision does. It knows the SDK and nothing of the server.
//!
//! | module | what it does |
//! |---|---|
//! | `config` | the configuration |
//! | `decode` | from a file to pixels, with limits |
//! | `geometry` | sizes: what an image is resized to, and what is cut out |
//! | `resample` | Pillow's resampling |
//! | `pack` | from pixels to numbers in a layout |

mod config;
mod decode;
mod geometry;
mod pack;
mod resample;

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Component, Description, Error, Inputs, Port, Result, Transform, module, schema, version,
};

use config::Settings;
pub use config::{Channels, Config, Crop, Datatype, Filter, Layout, Resize};
use decode::Pixels;

module!(transform Image);

/// Makes tensors of files as its configuration says.
pub struct Image(Settings);

impl Component for Image {
    type Config = Config;
    const ID: &'static CStr = c"candor.image";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../schema.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: Config, _call: &Call<'_>) -> Result<Self> {
        Ok(Self(config.checked()?))
    }

    fn describe(&self) -> Result<Description> {
        let (width, height) = self.0.size().map_or((-1, -1), |(width, height)| (i64::from(width), i64::from(height)));
        let channels = self.0.channels.count();
        let shape = match self.0.layout {
            Layout::Nchw => [-1, channels, height, width],
            Layout::Nhwc => [-1, height, width, channels],
        };
        Ok(Description {
            inputs: vec![Port::new(&self.0.input, "BYTES", &[-1])],
            outputs: vec![Port::new(&self.0.output, self.0.datatype.name(), &shape)],
        })
    }
}

impl Transform for Image {
    fn transform(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let input = inputs.need(&self.0.input)?;
        let (&[_] | &[_, 1]) = input.shape() else {
            let (name, shape) = (&self.0.input, input.shape());
            return Err(Error::invalid(format!("`{name}` has the shape {shape:?}, expected one file for each row")));
        };
        let mut images: Vec<Pixels> = Vec::new();
        for (row, file) in input.strings()?.enumerate() {
            call.check()?;
            let image = self.prepare(file).map_err(|error| {
                Error::new(error.status(), format!("row {row} of `{}`: {}", self.0.input, error.message()))
            })?;
            if let Some(first) = images.first()
                && (first.width, first.height) != (image.width, image.height)
            {
                return Err(Error::invalid(format!(
                    "row {row} has {}x{} pixels and row 0 has {}x{}; `crop`, or `resize` to a width and a height, makes \
                     them equal",
                    image.width, image.height, first.width, first.height
                )));
            }
            images.push(image);
        }
        pack::write(&self.0, call, &images)
    }
}

impl Image {
    fn prepare(&self, file: &[u8]) -> Result<Pixels> {
        let image = decode::decode(file, &self.0)?;
        let plan = geometry::Plan::of(&self.0, image.width, image.height)?;
        Ok(resample::resample(&image, &plan, self.0.filter))
    }
}
