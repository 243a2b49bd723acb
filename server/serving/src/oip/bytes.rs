//! Tensors as bytes: little-endian, row-major; BOOL one byte; BYTES a u32 length before each element.
//!
//! Both doors put them on the wire so: behind the JSON of a request over HTTP, in `raw_input_contents` over
//! gRPC.

use candor_domain::{BytesArray, Datatype, Error, Result, Shape, Tensor, TensorData, for_each_datatype};

/// Reads exactly `bytes` as the elements of a tensor.
///
/// # Errors
/// `InvalidInput` when there are more or fewer of them, or a BOOL is neither 0 nor 1.
pub fn read_tensor(datatype: Datatype, shape: Shape, bytes: &[u8]) -> Result<Tensor> {
    let elements = shape.elements();
    if let Some(each) = datatype.element_bytes()
        && elements.checked_mul(each) != Some(bytes.len())
    {
        return Err(Error::invalid("the number of bytes does not fit the shape")
            .expected(format!("{} bytes for {datatype} {shape}", elements.saturating_mul(each)))
            .got(format!("{} bytes", bytes.len())));
    }
    let data = match datatype {
        Datatype::Bool => TensorData::Bool(read_bools(bytes)?),
        Datatype::Uint8 => TensorData::Uint8(bytes.to_vec()),
        Datatype::Int8 => TensorData::Int8(read(bytes, i8::from_le_bytes)),
        Datatype::Uint16 => TensorData::Uint16(read(bytes, u16::from_le_bytes)),
        Datatype::Int16 => TensorData::Int16(read(bytes, i16::from_le_bytes)),
        Datatype::Fp16 => TensorData::Fp16(read(bytes, u16::from_le_bytes)),
        Datatype::Bf16 => TensorData::Bf16(read(bytes, u16::from_le_bytes)),
        Datatype::Uint32 => TensorData::Uint32(read(bytes, u32::from_le_bytes)),
        Datatype::Int32 => TensorData::Int32(read(bytes, i32::from_le_bytes)),
        Datatype::Fp32 => TensorData::Fp32(read(bytes, f32::from_le_bytes)),
        Datatype::Uint64 => TensorData::Uint64(read(bytes, u64::from_le_bytes)),
        Datatype::Int64 => TensorData::Int64(read(bytes, i64::from_le_bytes)),
        Datatype::Fp64 => TensorData::Fp64(read(bytes, f64::from_le_bytes)),
        Datatype::Bytes => TensorData::Bytes(read_strings(bytes, elements)?),
    };
    Tensor::new(shape, data)
}

fn read<T, const N: usize>(bytes: &[u8], from_le_bytes: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| from_le_bytes(chunk)).collect()
}

fn read_bools(bytes: &[u8]) -> Result<Vec<u8>> {
    match bytes.iter().position(|&byte| byte > 1) {
        None => Ok(bytes.to_vec()),
        Some(index) => Err(Error::invalid(format!("element {index} is not a BOOL value")).expected("a byte 0 or 1")),
    }
}

fn read_strings(mut bytes: &[u8], elements: usize) -> Result<BytesArray> {
    let cut = |index: usize| {
        Error::invalid(format!("the bytes end within element {index}"))
            .expected(format!("{elements} elements, each a 4-byte little-endian length and as many bytes"))
    };
    // Each element takes at least the four bytes of its length.
    let mut strings = BytesArray::with_capacity(elements.min(bytes.len() / 4));
    for index in 0..elements {
        let (length, rest) = bytes.split_first_chunk().ok_or_else(|| cut(index))?;
        let length = u32::from_le_bytes(*length) as usize;
        let (string, rest) = rest.split_at_checked(length).ok_or_else(|| cut(index))?;
        strings.push(string);
        bytes = rest;
    }
    if bytes.is_empty() {
        return Ok(strings);
    }
    Err(Error::invalid("there are bytes left after the last element")
        .expected(format!("{elements} elements"))
        .got(format!("{} bytes more", bytes.len())))
}

/// Appends the wire form of `data` and gives its length.
pub fn write_tensor(data: &TensorData, out: &mut Vec<u8>) -> usize {
    trait Write {
        fn write(&self, out: &mut Vec<u8>);
    }
    macro_rules! write_numbers {
        ($($number:ty)*) => {$(
            impl Write for Vec<$number> {
                fn write(&self, out: &mut Vec<u8>) {
                    let start = out.len();
                    // Room first: written in whole numbers, which the compiler makes a copy of.
                    out.resize(start + size_of_val(self.as_slice()), 0);
                    let (slots, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut();
                    for (slot, number) in slots.iter_mut().zip(self) {
                        *slot = number.to_le_bytes();
                    }
                }
            }
        )*};
    }
    write_numbers!(u8 u16 u32 u64 i8 i16 i32 i64 f32 f64);
    impl Write for BytesArray {
        fn write(&self, out: &mut Vec<u8>) {
            for element in self.iter() {
                out.extend_from_slice(&u32::try_from(element.len()).unwrap_or(u32::MAX).to_le_bytes());
                out.extend_from_slice(element);
            }
        }
    }
    let before = out.len();
    for_each_datatype!(data, vector => vector.write(out));
    out.len() - before
}

/// Bytes that [`write_tensor`] will append.
#[must_use]
pub fn wire_bytes(data: &TensorData) -> usize {
    match (data, data.datatype().element_bytes()) {
        (TensorData::Bytes(strings), _) => 4 * strings.len() + strings.total_bytes(),
        (_, each) => data.len() * each.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_datatype_round_trips() {
        let shape = Shape::new(&[2]).unwrap();
        for datatype in Datatype::ALL {
            let mut bytes = Vec::new();
            let zeros = TensorData::zeros(datatype, 2);
            assert_eq!(write_tensor(&zeros, &mut bytes), wire_bytes(&zeros));
            assert_eq!(read_tensor(datatype, shape, &bytes).unwrap().data(), &zeros);
            bytes.push(0);
            assert!(read_tensor(datatype, shape, &bytes).is_err(), "{datatype}: one byte too many");
            assert!(read_tensor(datatype, shape, &bytes[..bytes.len() - 2]).is_err(), "{datatype}: one too few");
        }
    }

    #[test]
    fn numbers_are_little_endian() {
        let shape = Shape::new(&[1]).unwrap();
        let read = |datatype, bytes: &[u8]| read_tensor(datatype, shape, bytes).unwrap().into_parts().1;
        assert_eq!(read(Datatype::Int32, &[1, 0, 0, 0x80]), TensorData::Int32(vec![-2_147_483_647]));
        assert_eq!(read(Datatype::Fp32, &[0, 0, 0x80, 0x3f]), TensorData::Fp32(vec![1.0]));
        assert!(read_tensor(Datatype::Bool, shape, &[2]).is_err());
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let shape = Shape::new(&[2]).unwrap();
        for bytes in [&[1, 0, 0, 0, b'a'][..], &[255, 255, 255, 255, b'a', 0, 0, 0, 0], &[0; 9], &[0; 3]] {
            assert!(read_tensor(Datatype::Bytes, shape, bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn strings_round_trip(strings: Vec<Vec<u8>>) {
            let data = TensorData::Bytes(strings.iter().collect());
            let shape = Shape::new(&[i64::try_from(strings.len()).unwrap()]).unwrap();
            let mut bytes = Vec::new();
            prop_assert_eq!(write_tensor(&data, &mut bytes), wire_bytes(&data));
            let tensor = read_tensor(Datatype::Bytes, shape, &bytes).unwrap();
            prop_assert_eq!(tensor.data(), &data);
        }
    }
}
