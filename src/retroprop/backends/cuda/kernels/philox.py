"""Dropout masks drawn on the device: one kernel for all layers of a step, to the bits of `retroprop.backends.masks`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy

from retroprop.backends.cuda.kernels.geometry import LOAD_BYTES, MOST_BLOCKS, THREADS
from retroprop.backends.cuda.kernels.operands import TYPES
from retroprop.backends.cuda.kernels.prelude import HEAD
from retroprop.backends.cuda.runtime import Launch, Runtime
from retroprop.backends.masks import PER_BLOCK, MaskedLayer, MaskForm, Masks
from retroprop.backends.record import tree
from retroprop.backends.record.recorder import Form, form_of
from retroprop.functions.types import Array

# Ten rounds of two 64-bit products, with the constants of Salmon et al. (2011), as in NumPy's Philox.
PHILOX = r"""
typedef unsigned long long Word;

__device__ void philox(Word (&c)[4], Word k0, Word k1) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const Word high0 = __umul64hi(0xD2E7470EE14C6C93ULL, c[0]), low0 = 0xD2E7470EE14C6C93ULL * c[0];
    const Word high1 = __umul64hi(0xCA5A826395121157ULL, c[2]), low1 = 0xCA5A826395121157ULL * c[2];
    c[0] = high1 ^ c[1] ^ k0;
    c[1] = low1;
    c[2] = high0 ^ c[3] ^ k1;
    c[3] = low0;
    k0 += 0x9E3779B97F4A7C15ULL;
    k1 += 0xBB67AE8584CAA73BULL;
  }
}

// The elements mask/(1-p) of a layer in a step; a thread draws @PER_BLOCK@ of them at a time.
template <bool WIDE, class T>
__device__ void draw(T *mask, long long size, Word layer, Word step, Word k0, Word k1, unsigned threshold, T scale) {
  constexpr int V = @LOAD_BYTES@ / sizeof(T);
  for (long long b = blockIdx.x * (long long)THREADS + threadIdx.x; b * @PER_BLOCK@ < size;
       b += gridDim.x * (long long)THREADS) {
    Word c[4] = {Word(b) + 1, layer, step, 0};
    philox(c, k0, k1);
#pragma unroll
    for (int at = 0; at < @PER_BLOCK@; at += V) {
      T numbers[V];
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const unsigned word = unsigned(c[(at + v) / 2] >> ((at + v) % 2 * 32));
        numbers[v] = word >= threshold ? scale : T(0);
      }
      store<WIDE>(numbers, mask + b * @PER_BLOCK@ + at, 1, size - b * @PER_BLOCK@ - at);
    }
  }
}
""".replace("@PER_BLOCK@", str(PER_BLOCK)).replace("@LOAD_BYTES@", str(LOAD_BYTES))


class Drawn(NamedTuple):
    """The masks that a program draws on the device: their form, and the layer of each by index of its node."""

    form: MaskForm
    layers: dict[int, MaskedLayer]


def form_with_masks(argument: Any) -> Any:
    """Return the form of an argument, which may be `Masks`."""
    return argument.form if isinstance(argument, Masks) else form_of((argument,))[0]


def recorded_form(forms: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the forms of arguments as a step is recorded with them: arrays in place of masks."""
    return tuple(
        tuple(one and Form((form.m, one.n), form.dtype) for one in form.layers) if isinstance(form, MaskForm) else form
        for form in forms
    )


def drawn_of(forms: tuple[Any, ...], recorded: tuple[Any, ...]) -> Drawn | None:
    """Return the layers of the masks among the recorded arguments, None if the forms have no masks."""
    for form, nodes in zip(forms, recorded, strict=True):
        if isinstance(form, MaskForm):
            pairs = zip(tree.leaves(nodes), form.layers, strict=True)
            return Drawn(form, {node.index: one for node, one in pairs if one is not None})
    return None


def mask_source(form: MaskForm, layers: Sequence[MaskedLayer], *, wide: bool) -> str:
    """Return a kernel that draws the masks of several layers; the block's y is the number of the layer.

    Its arguments are key and first step (three words of 64 bits), the tick (long long *), then a mask for each layer.
    In step `tick` of a run it draws those of the first step + tick, with `wide` stores if each is aligned to 16 bytes.
    """
    ctype = TYPES[numpy.dtype(form.dtype)]
    masks = ", ".join(f"{ctype} *d{number}" for number in range(len(layers)))
    cases = [
        f"  if (blockIdx.y == {number}) draw<{str(wide).lower()}>(d{number}, {form.m * one.n}LL, {one.layer}, "
        f"stream[2] + *tick, stream[0], stream[1], {one.threshold}u, {ctype}({one.scale!r}));\n"
        for number, one in enumerate(layers)
    ]
    return (
        f"{PHILOX}\n"
        f'extern "C" __global__ void __launch_bounds__({THREADS}) '
        f"retroprop_kernel(const Word *stream, const long long *tick, {masks}) {{\n{''.join(cases)}}}\n"
    )


def mask_launch(
    runtime: Runtime, form: MaskForm, masks: Sequence[tuple[MaskedLayer, Array]], stream: Array, tick: Array
) -> Launch:
    """Return the launch that draws masks into their arrays; `stream` is as `stream_of` returns it."""
    layers, arrays = [one for one, _ in masks], [array for _, array in masks]
    wide = all(runtime.address(array) % LOAD_BYTES == 0 for array in arrays)
    most = max(-(-form.m * one.n // PER_BLOCK) for one in layers)
    blocks = (max(min(-(-most // THREADS), MOST_BLOCKS), 1), len(layers), 1)
    text = HEAD + mask_source(form, layers, wide=wide)
    return runtime.kernel(text, blocks, THREADS, [stream, tick, *arrays])


def stream_of(key: tuple[int, int], step: int) -> Array:
    """Return a run's Philox stream on the host: the key, and the number of updates made before it."""
    return numpy.asarray([*key, step], "uint64")
