"""How each style pack of Kokoro-82M v1.0 speaks, as it was heard: figures, and nothing of a pack.

Made by `python -m bench style --only tables`: four lines in the pack's own language (packs of
Japanese voices: in English), spoken by the base that ships in packages, and heard by
`prosody_measures`. A row is a pack's name, the digest of the component that it is published as,
mean pitch in semitones above 100 Hz, its standard deviation in semitones, syllables a second, the
standard deviation of the level in dB, and the share of pauses.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_TABLE: Final = """
af_alloy bf7e95cdd005dd77a7cb00ed7f8fff46d8e8a861b5855dbced56718adc0e3a74 5.7 3.2 3.9 5.6 0.05
af_aoede b1ce8e1a91b1b1099526e88412d89e81e15486a2d4e4135b1169fd496302af0b 10.4 3.1 4.0 5.7 0.03
af_bella 7d076abb4f4cc911156660545bf6b4c5dd1401eb1671443772a0b49cf11d80d0 11.8 2.2 4.1 6.8 0.10
af_heart 9439d6002bd60350e110e4ddba87296eb6a4b88f900ef8a2c6036136238955ef 11.8 2.8 4.2 5.3 0.09
af_jessica ff0d639ae1aa6854faad3b45603a1c6cc972bcf1f165877dcd6f8cc9ab77145f 12.5 3.5 4.3 4.7 0.00
af_kore 130fcbd3649daa184f73cf7b6f0eef3a251497bf32acc930b64737291f969f4a 7.3 4.1 4.2 5.7 0.01
af_nicole 558aac485b1e5cf4338bd95e51bfebab7c8eb34c843e123604d99402a10fa431 5.5 3.0 3.2 6.0 0.23
af_nova 38da7bdc553a8db53ba154bb8ef644f10fd8f429ddd0d5a6fe57823ee53d3a4a 8.4 2.9 4.1 5.3 0.02
af_river a0cd29da6082c2098a87cf6382a5a6d3aceaf2c8824740765db018f6ed57bbfc 10.2 2.3 4.5 5.2 0.01
af_sarah a377f48edc98b79d57c08678357f683ea453bfa690c084af6b6895a54b545f5b 11.1 3.6 4.2 5.3 0.10
af_sky 02566c1e0094544b511ab541536eb92ef30333e8fe5150dde8a7a1c93d7a2b35 8.2 3.5 4.5 5.9 0.06
am_adam 2f8f0d16ffb6fb8207c47dd69ba35eb0ff1ad92e78bcc97fef18a0538a432f53 1.6 3.4 4.5 5.3 0.09
am_echo d244c5d99cac976a3295d790ce320cb16a47d366089361445c44ad843c1e5da4 0.9 4.0 4.0 5.5 0.05
am_eric 0164d4eda9d584ddcd39c6d3b663ba98674a4cb6d50f30afc60bac139e971fa1 7.4 3.8 3.9 4.6 0.01
am_fenrir 68e38ea91e033d5db184fc8bf1960b9c90474e443fae49e50bb24061b8e73a1d 5.1 4.4 4.2 5.5 0.02
am_liam 0cc623d0804a70ad5cb3efe3c12b7d70712189b0090e8c65817381f91fb3295f 3.2 4.1 4.2 4.6 0.03
am_michael dfd4bd186f3529088570527c72cfa96b632edd6c22e8ca49bbc777c39f31e4e8 2.1 3.1 3.7 5.2 0.10
am_onyx 5df24c53dad7a00089173cbad0d1be600faf7c9414b6cdf99f0316c22fdf2808 -2.9 2.4 4.2 5.7 0.03
am_puck b9f3065d61baa036d795fc2ee5fa4c88f67d39280dd1a27321b5b22ec7d8583d 1.8 3.9 3.8 5.5 0.00
am_santa 37f86613e58670e5f5fe3d3f2cb57a021f801eeeef3d38630bf3e95c641e489c 8.6 4.9 3.7 6.1 0.09
bf_alice 05c5e180894afeaf269410310c1b35a5b0ce2a708f31e3b3d9a6d918ccd28726 13.1 3.7 4.5 5.1 0.00
bf_emma edb19e693690ba20dbcc54c5ce06c436c6acbd4f81ca389374db8e566c2dbf8f 10.1 2.0 4.6 5.2 0.04
bf_isabella 386f5d0d6f944692823e6c00ddd44c972be5b8d54795f37007328809a7579d49 12.3 2.2 4.3 6.0 0.06
bf_lily 77b9bf798671e7ba2cb32bc64a262cd65549236c1334be7426e3799f0bdb5128 10.4 3.8 3.8 5.2 0.00
bm_daniel f886b5d68d30e8ca29d6165608f3127b51c31377be0f79e4d489b78772d8e58e 3.0 3.1 4.0 5.4 0.04
bm_fable 9ed0408cc03e650d772e314e450b6860b763b1fabdc164b7868dbb50bd5125ce 2.3 4.3 3.3 6.5 0.00
bm_george 54e92299e33d67382a4d2e03cd43aacfb55402933734c62f73ac4d2deb23e7bd 5.5 3.2 3.4 4.7 0.09
bm_lewis 16d820c953de62b87267f0d07f708e97e74f898c747edb0ec7c82a53d2d170f8 -2.7 3.4 3.7 6.2 0.11
ef_dora d7bdb094b77b11723922f79484e629a6ae18be20697db5619cccada5eefdcb27 9.2 3.0 5.1 5.4 0.03
em_alex a9250c88db7085e56124e84f166ed02c0bdecadf75334394d73c622813002c44 3.6 3.7 4.7 5.6 0.04
em_santa 0d740a78bb7aa04bbe160d2c00d0776dc437aca66c66e260b6ec883412d496f7 4.0 4.7 4.8 5.7 0.01
ff_siwis 7357f583cfa81207a068e0540b031b10ca523c22c598dfacdbfd83e73f3a20ab 12.0 2.7 4.4 6.0 0.05
hf_alpha 158a80f36b99fcd4a2615093afd931a906b1ad13a79f348eff894f92a386e2f6 12.5 3.3 4.3 6.1 0.07
hf_beta 6f615a1d639e84c5590b80abea5f3c6efd178318182f2ec369f5a97f2477ebcf 10.1 3.3 4.5 5.8 0.06
hm_omega 2726e665addb5346a6d20d49fee73b4cf6b55aadbda291330c322aef729edde7 3.8 4.5 4.3 6.6 0.10
hm_psi 388ddf76cba626ff4d5b8c19f851d2cc9e3efd0998b0d1d628dd67a7bec109be 3.9 4.6 4.6 6.5 0.18
if_sara 2e226306209afbf1d369282d1d42042f9853fbe6c3177969cf37396926423f5c 13.3 2.3 4.4 5.5 0.00
im_nicola 72d69b6c8698868d0c399874defc893d40c88cb7ae91d63956a049e4de3d10d2 -2.0 2.6 4.3 4.1 0.03
jf_alpha 63587f2c834e0a7e6981605a6c07ed22dc43547edc5054d2cea8e5acdb94667a 16.5 2.9 4.1 5.2 0.04
jf_gongitsune 32e8aa73b7258b7644397fc89b0af0a2da9729a5abe08b7c5f43b83f9dc5a8eb 14.1 3.2 4.2 5.9 0.15
jf_nezumi 2ac789fcdd4cea7538f9978a9a7805938f7e0af711b90bf0a78cd6b271735b62 14.8 2.2 4.5 5.6 0.18
jf_tebukuro d585da9c115df448f696a6bda6fe5d02823d2ef7f2b4ca598fbb6331ed8928e3 20.1 2.9 4.9 5.7 0.18
jm_kumo 785954c22d9e68df8278f1e9448a6013b9d85e6b2ba819e7f8a48aff491b4847 -1.6 3.0 4.2 5.7 0.11
pf_dora 2c0f3631396a974f0b7c7d90cc16169c2963fb0d03c975a4c821d3889440b87a 9.6 2.7 4.6 5.5 0.02
pm_alex 0ec838ab6b11676eedefb351ea404827c0c12a4e834a6d55e68ad92268ea9d5e 4.3 3.2 4.5 5.6 0.05
pm_santa 38ffc696b29402ef1e8cf6874c08e96c49558cc510877714a4a7685f33d129af 4.7 4.2 4.1 5.8 0.01
zf_xiaobei 9c89e561eb6a4155a75cecca217bcdb8f0edaae4092c3199f9927218e45fd4dc 13.8 3.7 3.7 5.9 0.06
zf_xiaoni 84ab079f32e4cef7739471aa9d2b1f863b51f4932ecf48d64cc2e5f741d9688e 13.6 3.4 4.4 5.0 0.06
zf_xiaoxiao d211e399b32bba51f76bfc93aa08ae0c0feb5ea4c96ffeab1f71ae61df5aaf38 14.1 3.5 4.6 5.0 0.02
zf_xiaoyi dccebd71e7e53796772dbd1e42069c25ac063e4789cdb59316fef86c7d53e15e 17.9 3.0 4.4 5.2 0.04
zm_yunjian 2c29a1d40cfbb17668b64a69dfe715db34efd80d970c8a8188b398108ef2f198 2.4 4.3 4.0 5.7 0.04
zm_yunxi 118c32fdb26346b15ed17c83176b41a5592d907c69193af6839b52263ce9a320 7.2 4.2 4.7 6.8 0.10
zm_yunxia f7ad773da76cbdf8971e2ef33927cf57aae7c7e6c69976a56896c949ee3b2bc3 17.4 3.5 4.7 5.8 0.06
zm_yunyang 413e6ecd0d17f94bd3162f0494d0fff8a52eb4cea3884494a971dccc30f73d62 0.6 4.9 4.8 6.1 0.07
"""

#: What two lines of one speaker differ by: the standard deviation of each figure.
LINE_TO_LINE: Final = (0.44, 0.32, 0.42, 0.49, 0.02)

#: By the digest of a style component.
PACK_PROSODY: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        f"sha256:{digest}": tuple(map(float, figures))
        for _, digest, *figures in map(str.split, _TABLE.strip().splitlines())
    }
)
