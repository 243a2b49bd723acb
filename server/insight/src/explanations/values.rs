//! The values of features, to be shown beside their shares.

use candor_domain::{Tensor, TensorData};
use half::{bf16, f16};

use super::{About, Shown, ShownCell, layout::Layout, players::Players};

/// Row by row, the value of each player.
pub(crate) fn of(about: &About, layout: &Layout, players: &Players, inputs: &[Tensor], rows: usize) -> Vec<Vec<Shown>> {
    // Where each column is: an input, and a place among its elements.
    let mut places = Vec::with_capacity(layout.columns);
    for (input, tensor) in inputs.iter().enumerate() {
        let each = tensor.data().len() / rows.max(1);
        places.extend((0..each).map(|element| (input, each, element)));
    }
    let cell = |row: usize, column: usize| {
        let place = places
            .get(column)
            .and_then(|(input, each, element)| Some(shown(inputs.get(*input)?.data(), row * each + element)));
        place.unwrap_or(ShownCell::Gap)
    };
    let of_player = |row: usize, player: usize| {
        let columns = players.columns.get(player).map_or(&[][..], Vec::as_slice);
        let features = players.features.get(player).map_or(&[][..], Vec::as_slice);
        match (columns, features) {
            ([column], _) => Shown::One(cell(row, *column)),
            (_, [_]) => Shown::Whole,
            (_, features) => Shown::Group(
                features
                    .iter()
                    .filter_map(|index| about.features.get(*index))
                    .map(|feature| {
                        let mut columns = layout.columns_of(feature);
                        let value = match (columns.next(), columns.next()) {
                            (Some(only), None) => cell(row, only),
                            _ => ShownCell::Tensor,
                        };
                        (feature.name.to_string(), value)
                    })
                    .collect(),
            ),
        }
    };
    (0..rows).map(|row| (0..players.len()).map(|player| of_player(row, player)).collect()).collect()
}

/// An element.
pub(crate) fn shown(data: &TensorData, index: usize) -> ShownCell {
    fn whole<T: Copy + TryInto<i64>>(values: &[T], index: usize) -> Option<ShownCell> {
        values.get(index).map(|value| (*value).try_into().map_or(ShownCell::Gap, ShownCell::Whole))
    }
    let single = |value: f32| if value.is_finite() { ShownCell::Single(value) } else { ShownCell::Gap };
    let cell = match data {
        TensorData::Bool(values) => values.get(index).map(|value| ShownCell::Truth(*value != 0)),
        TensorData::Uint8(values) => whole(values, index),
        TensorData::Uint16(values) => whole(values, index),
        TensorData::Uint32(values) => whole(values, index),
        TensorData::Uint64(values) => whole(values, index),
        TensorData::Int8(values) => whole(values, index),
        TensorData::Int16(values) => whole(values, index),
        TensorData::Int32(values) => whole(values, index),
        TensorData::Int64(values) => whole(values, index),
        TensorData::Fp16(bits) => bits.get(index).map(|bits| single(f16::from_bits(*bits).to_f32())),
        TensorData::Bf16(bits) => bits.get(index).map(|bits| single(bf16::from_bits(*bits).to_f32())),
        TensorData::Fp32(values) => values.get(index).map(|value| single(*value)),
        TensorData::Fp64(values) => {
            values.get(index).map(|value| if value.is_finite() { ShownCell::Double(*value) } else { ShownCell::Gap })
        }
        TensorData::Bytes(texts) => {
            texts.get(index).map(|text| ShownCell::Text(String::from_utf8_lossy(text).into_owned()))
        }
    };
    cell.unwrap_or(ShownCell::Gap)
}
