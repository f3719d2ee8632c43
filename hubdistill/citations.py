"""BibTeX for what a student rests on: the owner's work, the library, the method, the teacher."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from hubdistill.bibtex import Entry, parse_bibtex
from hubdistill.report import DistillationReport

SENTENCE_TRANSFORMERS = """\
@inproceedings{reimers-2019-sentence-bert,
    title = "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
    author = "Reimers, Nils and Gurevych, Iryna",
    booktitle = "Proceedings of the 2019 Conference on Empirical Methods in Natural Language Processing",
    month = "11",
    year = "2019",
    publisher = "Association for Computational Linguistics",
    url = "https://arxiv.org/abs/1908.10084",
}"""

DISTILLATION = """\
@misc{hinton2015distilling,
    title = {Distilling the Knowledge in a Neural Network},
    author = {Hinton, Geoffrey and Vinyals, Oriol and Dean, Jeff},
    year = {2015},
    eprint = {1503.02531},
    archivePrefix = {arXiv},
    primaryClass = {stat.ML}
}"""

LAYER_DROPPING = """\
@article{sajjad2023effect,
    title = {On the effect of dropping layers of pre-trained transformer models},
    author = {Sajjad, Hassan and Dalvi, Fahim and Durrani, Nadir and Nakov, Preslav},
    journal = {Computer Speech \\& Language},
    volume = {77},
    year = {2023},
    url = {https://arxiv.org/abs/2004.03844}
}"""

CONJUGATE_GRADIENTS = """\
@article{hestenes1952methods,
    title = {Methods of Conjugate Gradients for Solving Linear Systems},
    author = {Hestenes, Magnus R. and Stiefel, Eduard},
    journal = {Journal of Research of the National Bureau of Standards},
    volume = {49},
    number = {6},
    pages = {409--436},
    year = {1952}
}"""

VOCABULARY_TRIMMING = """\
@inproceedings{abdaoui-etal-2020-load,
    title = {Load What You Need: Smaller Versions of Multilingual {BERT}},
    author = {Abdaoui, Amine and Pradel, Camille and Sigel, Gr{\\'e}goire},
    booktitle = {Proceedings of SustaiNLP: Workshop on Simple and Efficient Natural Language Processing},
    year = {2020},
    url = {https://arxiv.org/abs/2010.05609}
}"""

PROJECTION = """\
@article{eckart1936approximation,
    title = {The approximation of one matrix by another of lower rank},
    author = {Eckart, Carl and Young, Gale},
    journal = {Psychometrika},
    volume = {1},
    number = {3},
    pages = {211--218},
    year = {1936}
}"""

METHODS = {
    "layers": (DISTILLATION,),
    "static": (DISTILLATION, CONJUGATE_GRADIENTS),
    "trimmed": (),
    "model": (DISTILLATION,),
}

_BGE_M3 = """\
@misc{bge-m3,
    title = {BGE M3-Embedding: Multi-Lingual, Multi-Functionality, Multi-Granularity Text Embeddings Through \
Self-Knowledge Distillation},
    author = {Jianlv Chen and Shitao Xiao and Peitian Zhang and Kun Luo and Defu Lian and Zheng Liu},
    year = {2024},
    eprint = {2402.03216},
    archivePrefix = {arXiv},
    primaryClass = {cs.CL}
}"""

_BGE = """\
@misc{bge_embedding,
    title = {C-Pack: Packaged Resources To Advance General Chinese Embedding},
    author = {Shitao Xiao and Zheng Liu and Peitian Zhang and Niklas Muennighoff},
    year = {2023},
    eprint = {2309.07597},
    archivePrefix = {arXiv},
    primaryClass = {cs.CL}
}"""

_MXBAI = """\
@online{emb2024mxbai,
    title = {Open Source Strikes Bread - New Fluffy Embeddings Model},
    author = {Sean Lee and Aamir Shakir and Darius Koenig and Julius Lipp},
    year = {2024},
    url = {https://www.mixedbread.ai/blog/mxbai-embed-large-v1}
}"""

_ANGLE = """\
@article{li2023angle,
    title = {AnglE-optimized Text Embeddings},
    author = {Li, Xianming and Li, Jing},
    journal = {arXiv preprint arXiv:2309.12871},
    year = {2023}
}"""

_MINILM = """\
@misc{wang2020minilm,
    title = {MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained \
Transformers},
    author = {Wenhui Wang and Furu Wei and Li Dong and Hangbo Bao and Nan Yang and Ming Zhou},
    year = {2020},
    eprint = {2002.10957},
    archivePrefix = {arXiv},
    primaryClass = {cs.CL}
}"""

_MPNET = """\
@misc{song2020mpnet,
    title = {MPNet: Masked and Permuted Pre-training for Language Understanding},
    author = {Kaitao Song and Xu Tan and Tao Qin and Jianfeng Lu and Tie-Yan Liu},
    year = {2020},
    eprint = {2004.09297},
    archivePrefix = {arXiv},
    primaryClass = {cs.CL}
}"""

_E5 = """\
@article{wang2022text,
    title = {Text Embeddings by Weakly-Supervised Contrastive Pre-training},
    author = {Wang, Liang and Yang, Nan and Huang, Xiaolong and Jiao, Binxing and Yang, Linjun and \
Jiang, Daxin and Majumder, Rangan and Wei, Furu},
    journal = {arXiv preprint arXiv:2212.03533},
    year = {2022}
}"""

_MULTILINGUAL_E5 = """\
@article{wang2024multilingual,
    title = {Multilingual E5 Text Embeddings: A Technical Report},
    author = {Wang, Liang and Yang, Nan and Huang, Xiaolong and Yang, Linjun and Majumder, Rangan and \
Wei, Furu},
    journal = {arXiv preprint arXiv:2402.05672},
    year = {2024}
}"""

_GTE = """\
@article{li2023towards,
    title = {Towards General Text Embeddings with Multi-stage Contrastive Learning},
    author = {Li, Zehan and Zhang, Xin and Zhang, Yanzhao and Long, Dingkun and Xie, Pengjun and \
Zhang, Meishan},
    journal = {arXiv preprint arXiv:2308.03281},
    year = {2023}
}"""


TEACHERS: dict[str, tuple[str, ...]] = {
    "baai/bge-m3": (_BGE_M3,),
    "baai/bge-*-v1.5": (_BGE,),
    "mixedbread-ai/mxbai-embed-large-v1": (_MXBAI, _ANGLE),
    "sentence-transformers/*minilm*": (_MINILM,),
    "sentence-transformers/*mpnet*": (_MPNET,),
    "intfloat/e5-*": (_E5,),
    "intfloat/multilingual-e5-*": (_MULTILINGUAL_E5,),
    "thenlper/gte-*": (_GTE,),
}
"""Patterns of lower-case Hub ids and what such a teacher asks to be cited by."""


def citations(report: DistillationReport) -> tuple[Entry, ...]:
    """Everything to cite for a student: the owner's work, library, losses and method, teacher.

    The first of several entries with the same key stays.

    Raises:
        CardError: an entry of the recipe or of the report is not BibTeX.
    """
    training, hub_id = report.training, report.models[report.teacher].hub_id or ""
    shortened = report.models[report.student].architecture.kept_layers is not None
    groups: list[tuple[str, Iterable[str]]] = [
        ("card.citation", [report.owner.citation] if report.owner.citation else []),
        ("hubdistill", [SENTENCE_TRANSFORMERS]),
        ("training.citations", training.citations if training else ()),
        ("hubdistill", METHODS[training.method] if training else ()),
        ("hubdistill", [LAYER_DROPPING] if training and shortened else ()),
        ("hubdistill", [VOCABULARY_TRIMMING] if training and training.vocabulary else ()),
        ("hubdistill", [PROJECTION] if training and training.projection else ()),
        (
            "corpus.sources.citations",
            [text for source in report.corpus.sources for text in source.citations] if report.corpus else [],
        ),
        ("models.citations", report.models[report.teacher].citations),
        (
            "hubdistill",
            (
                text
                for pattern, texts in TEACHERS.items()
                if fnmatchcase(hub_id.lower(), pattern)
                for text in texts
            ),
        ),
    ]
    found: dict[str, Entry] = {}
    for place, texts in groups:
        for text in texts:
            for entry in parse_bibtex(text, place):
                found.setdefault(entry.key.lower(), entry)
    return tuple(found.values())
