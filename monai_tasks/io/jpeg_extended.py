"""A decoder of JPEG Extended with 12 bits for pydicom, by GDCM.

Archives of computed radiography hold such files. pydicom asks GDCM for 8 bits only, though it decodes 12.

`PROBLEM` says why GDCM is not there; it is empty where all is well.
"""

from __future__ import annotations

import re
from typing import Any

from pydicom.uid import JPEGExtended12Bit

try:
    import gdcm
except ImportError as error:
    # Another module's name is that of a part of GDCM, or of what that needs.
    is_missing = isinstance(error, ModuleNotFoundError) and error.name == "gdcm"
    # Without folders, whose names may be people's.
    why = re.sub(r"\S*[/\\]", "", str(error))
    PROBLEM = "python-gdcm is not installed" if is_missing else f"python-gdcm cannot be loaded ({why})"
else:
    PROBLEM = ""

DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("gdcm>=3.0.24",)}

_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"
_PADDED = 8  # the end and what writers fill up with behind it
# A scan of this mode holds all 64 coefficients of a block: from 0 to 63, with no bits left for a later scan.
_WHOLE_SCAN = bytes((0, 63, 0))


def is_available(uid: str) -> bool:
    """Whether this decodes a transfer syntax here; part of pydicom's interface."""
    return uid in DECODER_DEPENDENCIES and not PROBLEM


def decode_frame(source: bytes, runner: Any) -> bytes:
    """Decode one frame.

    Args:
        source: the JPEG stream.
        runner: pydicom's description of the frame.

    Returns:
        The pixels, 2 bytes each, in the order of rows.

    Raises:
        ValueError: if the pixels have colours or 8 bits, which other decoders take, or the stream is damaged.
    """
    if runner.samples_per_pixel != 1 or runner.bits_allocated != 16:
        raise ValueError("other pixels than grey ones of 9 to 12 bits")
    # GDCM only warns of a stream without its end, and of a scan that leaves coefficients out.
    if _END_OF_IMAGE not in source[-_PADDED:]:
        raise ValueError("a JPEG stream that ends early")
    if _scan_range(source) != _WHOLE_SCAN:
        raise ValueError("a JPEG scan without all coefficients")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(source)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    syntax = gdcm.TransferSyntax.GetTSType(str.__str__(JPEGExtended12Bit))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    bits = runner.bits_stored
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, runner.pixel_representation))
    # GDCM hands bytes over as text.
    return image.GetBuffer().encode("utf-8", "surrogateescape")


def _scan_range(source: bytes) -> bytes:
    """The last three bytes of the first start of scan: first and last coefficient, and their bits."""
    place = 2
    while place + 4 <= len(source) and source[place] == 0xFF:
        length = int.from_bytes(source[place + 2 : place + 4], "big")
        if source[place + 1] == _START_OF_SCAN:
            return source[place + length - 1 : place + length + 2]
        place += 2 + length
    raise ValueError("a JPEG stream without a scan")
