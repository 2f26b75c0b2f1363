//! Protobuf in buffers of the size of our messages.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// A lease with its URL is some 300 bytes, and its request less. What is longer makes its buffer grow.
const BUFFER_BYTES: usize = 512;

/// How much of a stream is gathered before it is handed on.
const GATHERED_BYTES: usize = 32 * 1024;

/// tonic's own codec sets aside 8 KiB for each request and as much for each answer. With hundreds of calls in
/// flight that is more than the nearer caches hold, and the better part of what a call allocates. Public
/// because the limit that the daemon is measured against has it, too.
#[derive(Clone, Debug)]
pub struct Frugal<Encoded, Decoded>(PhantomData<(Encoded, Decoded)>);

impl<Encoded, Decoded> Default for Frugal<Encoded, Decoded> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Encoded, Decoded> Codec for Frugal<Encoded, Decoded>
where
    Encoded: Message + Send + 'static,
    Decoded: Message + Default + Send + 'static,
{
    type Encode = Encoded;
    type Decode = Decoded;
    type Encoder = ProstEncoder<Encoded>;
    type Decoder = ProstDecoder<Decoded>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Encoded, Decoded>::raw_encoder(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Encoded, Decoded>::raw_decoder(buffers())
    }
}

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, GATHERED_BYTES)
}
