//! From pixels to numbers in a layout.
//!
//! After all images have one size. It does not know files.

use candor_plugin_sdk::{Call, Element, Error, Result};

use crate::{
    config::{Channels, Datatype, Layout, Settings},
    decode::Pixels,
};

/// Writes the output.
pub fn write(settings: &Settings, call: &Call<'_>, images: &[Pixels]) -> Result<()> {
    match settings.datatype {
        Datatype::Uint8 => write_as::<u8>(settings, call, images, |_, byte| byte),
        Datatype::Fp32 => write_as::<f32>(settings, call, images, |channel, byte| {
            let levels = settings.levels.get(channel);
            levels.and_then(|levels| levels.get(usize::from(byte))).copied().unwrap_or_default()
        }),
    }
}

fn write_as<T: Element>(
    settings: &Settings,
    call: &Call<'_>,
    images: &[Pixels],
    of: impl Fn(usize, u8) -> T,
) -> Result<()> {
    let rows = i64::try_from(images.len()).map_err(|_| Error::invalid("there are too many images"))?;
    let size = images.first().map(|image| (image.width, image.height)).or_else(|| settings.size());
    let (width, height) = size.map_or((0, 0), |(width, height)| (i64::from(width), i64::from(height)));
    let channels = settings.channels.count();
    let shape = match settings.layout {
        Layout::Nchw => [rows, channels, height, width],
        Layout::Nhwc => [rows, height, width, channels],
    };
    let out = call.output::<T>(&settings.output, &shape)?;
    let Some(first) = images.first() else { return Ok(()) };
    let (channels, pixels) = (first.channels, first.bytes.len() / first.channels.max(1));
    // Where a channel of the output stands in a pixel.
    let source = |channel: usize| match settings.channels {
        Channels::Rgb | Channels::Gray => channel,
        Channels::Bgr => 2 - channel.min(2),
    };
    for (out, image) in out.chunks_exact_mut(first.bytes.len()).zip(images) {
        call.check()?;
        for channel in 0..channels {
            let bytes = image.bytes.iter().skip(source(channel)).step_by(channels);
            match settings.layout {
                Layout::Nchw => {
                    let plane = out.chunks_exact_mut(pixels).nth(channel).unwrap_or_default();
                    plane.iter_mut().zip(bytes).for_each(|(out, &byte)| *out = of(channel, byte));
                }
                Layout::Nhwc => {
                    let plane = out.iter_mut().skip(channel).step_by(channels);
                    plane.zip(bytes).for_each(|(out, &byte)| *out = of(channel, byte));
                }
            }
        }
    }
    Ok(())
}
