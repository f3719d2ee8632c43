"""Our layer-reduced student against the layer reduction of distil-trainer.

Both have their own defaults: theirs are evenly spread layers, MSE, learning rate 1e-4 with a cosine
schedule, batches of 64, four loader processes. Texts are cut at the teacher's maximum on both sides
(distil-trainer's own default is 512 tokens).
"""

from __future__ import annotations

from comparison import NEEDS, Setting, arguments, prepare
from layer_comparison import Trained, add_layers, compare
from peer import Peer, add_peer_python
from sentence_transformers import SentenceTransformer

PEER_NEEDS = (
    NEEDS
    + """\
  --peer-python  an interpreter with distil-trainer:
                   python -m venv peer && peer/bin/pip install torch==2.13.0
                   peer/bin/pip install distil-trainer==0.1.27 sentence-transformers==6.2.0
"""
)


def main() -> None:
    parser = arguments(__doc__ or "", needs=PEER_NEEDS)
    add_layers(parser)
    add_peer_python(parser)
    options = parser.parse_args()
    setting = prepare(options)
    with Peer(options.peer_python, "distil_trainer_peer.py", setting.work) as peer:

        def train(setting: Setting, texts: int, layers: int, seed: int) -> Trained:
            output = setting.work / "distil_trainer"
            made = peer.call(
                "train",
                teacher=str(setting.teacher.folder),
                texts=peer.give("train_texts", setting.corpus.train.texts(0, texts)),
                layers=layers,
                seed=seed,
                max_length=setting.teacher.max_length,
                output=str(output),
            )
            model = SentenceTransformer(str(output), device=str(setting.teacher.model.device))
            return Trained(model, made["seconds"], made["teacher_seconds"])

        compare(
            options,
            "layers_vs_distil_trainer",
            setting,
            {"distil-trainer": train},
            versions=peer.call("versions"),
        )


if __name__ == "__main__":
    main()
