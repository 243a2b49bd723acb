//! Sizes: what an image is resized to, and which part of that is kept.
//!
//! As torchvision's `Resize` and `CenterCrop`. It does not know pixels.

use candor_plugin_sdk::{Error, Result};

use crate::config::{Crop, Resize, Settings};

/// One dimension: so many pixels become so many, of which some are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) first: u32,
    pub(crate) kept: u32,
}

/// Both dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub(crate) across: Side,
    pub(crate) down: Side,
}

impl Plan {
    /// For an image of this size.
    pub(crate) fn of(settings: &Settings, width: u32, height: u32) -> Result<Self> {
        let (to_width, to_height) = match settings.resize {
            None => (width, height),
            Some(Resize::Exact(Crop { width, height })) => (width, height),
            Some(Resize::Shortest(to)) if width <= height => (to.shortest, longer(to.shortest, height, width)?),
            Some(Resize::Shortest(to)) => (longer(to.shortest, width, height)?, to.shortest),
        };
        let kept = settings.crop.unwrap_or(Crop { width: to_width, height: to_height });
        if kept.width > to_width || kept.height > to_height {
            return Err(Error::invalid(format!(
                "it has {to_width}x{to_height} pixels, and `crop` wants {}x{}",
                kept.width, kept.height
            )));
        }
        // What is made, and what stands between the two passes.
        let made = u64::from(kept.width) * u64::from(kept.height.max(height));
        if made > settings.pixels_max {
            let limit = settings.pixels_max;
            return Err(Error::invalid(format!(
                "it has {width}x{height} pixels, and resizing it takes {made}; at most {limit} are made (pixels_max)"
            )));
        }
        Ok(Self {
            across: Side { from: width, to: to_width, first: middle(to_width - kept.width), kept: kept.width },
            down: Side { from: height, to: to_height, first: middle(to_height - kept.height), kept: kept.height },
        })
    }
}

/// `int(shortest * long / short)`.
fn longer(shortest: u32, long: u32, short: u32) -> Result<u32> {
    let long = u64::from(shortest) * u64::from(long) / u64::from(short.max(1));
    u32::try_from(long).map_err(|_| Error::invalid("it is too long and thin to be resized"))
}

/// `round(rest / 2)` of Python: halves go to the even number.
fn middle(rest: u32) -> u32 {
    let half = rest / 2;
    if rest % 2 == 1 { half + half % 2 } else { half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_number() {
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(middle), [0, 0, 1, 2, 2, 2, 3, 4]);
        assert_eq!((longer(224, 640, 480).unwrap(), longer(256, 333, 500).unwrap()), (298, 170));
        assert!(longer(8192, u32::MAX, 1).is_err());
    }
}
