"""Image-text retrieval: recall@K in both directions (Karpathy & Fei-Fei 2015; CLIP, section 3.1), and nDCG as MTEB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.data.annotations import Annotation
from mlcd_eval.data.base import Kind
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.metrics.table import measure
from mlcd_eval.protocols.base import Elsewhere, ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.dialects import ProtocolDialect
from mlcd_eval.protocols.retrieval.languages import mean_of_languages
from mlcd_eval.protocols.retrieval.searching import searched
from mlcd_eval.protocols.retrieval.settings import RetrievalSettings
from mlcd_eval.protocols.shared.embedding import beside_full_precision, check_dimensions
from mlcd_eval.protocols.shared.languages import MACRO, captions_by_language, check_language
from mlcd_eval.protocols.shared.scored import vectors_of_one_split

DIALECTS = {
    "clip-benchmark": ProtocolDialect(
        {"ks": (5,)},
        "CLIP_benchmark 1.6.2, metrics/zeroshot_retrieval.py",
        "There torch.topk decides ties, blank lines are captions, and an image without captions is a query that fails.",
    ),
    "datacomp": ProtocolDialect(
        {"ks": (1, 5, 10), "metric": "mean_recall@1", "exif": True},
        "DataComp at 4a8df199, eval_utils/retr_eval.py, as docs/openclip_results.csv of open_clip prints it",
    ),
    "mteb": ProtocolDialect(
        {"metric": "ndcg", "ties": "last", "exif": True},
        "mteb 2.26, abstasks/retrieval.py with pytrec_eval 0.5.11: hit_rate@K is recall@K, recall@K is the share found",
        "Ties go to the id that sorts last, here to the last row; similarities that are equal but for rounding may be "
        "ties in one of the two only. Texts are cleaned as the model here does it (?clean=).",
    ),
}


FACTORS: dict[str, tuple[Any, ...]] = {
    "captions_per_image": (None, 5),
    "ties": ("first", "last"),
    "exif": (False, True),
}


SWEPT: dict[str, tuple[Any, ...]] = {"language": ()}


ELSEWHERE = Elsewhere(
    tasks=("Zero-Shot Cross-Modal Retrieval",),
    metrics=(
        (r"image_to_text_recall@(\d+)", r"Image-to-text R@\1"),
        (r"text_to_image_recall@(\d+)", r"Text-to-image R@\1"),
    ),
    hub_task="image-text-retrieval",
)


class Retrieval(Protocol[RetrievalSettings]):
    """Each caption searches for its image, each image for any of its captions, by cosine similarity, without prompts.

    Blank captions are left out, also of the gallery. An image without captions stays in the gallery but is not a query.
    By default the primary metric is image-to-text recall at the smallest K, by which leaderboards rank.
    mean_recall is the mean of all recalls, over both directions and every K. Of captions in several languages one is
    chosen, or the mean over all of them (Thapliyal et al. 2022): details.by_language then has each one's values.
    """

    name = "retrieval"
    version = 2
    kinds = ("retrieval",)
    elsewhere = ELSEWHERE
    shows_all_metrics = True  # both directions at every K
    dialects = DIALECTS
    factors = FACTORS
    swept = SWEPT

    def primary(self, settings: Mapping[str, Any], kind: Kind | None) -> str | None:
        """What the setting `metric` means."""
        return RetrievalSettings.model_validate(settings).primary

    def needs(self, settings: RetrievalSettings) -> Needs:
        """Return the need for a text tower."""
        return Needs(texts=True, languages=settings.language == MACRO)

    def requests(self, settings: RetrievalSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return one split at one layer. Raises IncompatibleError if the split is missing."""
        return vectors_of_one_split(self.name, settings, splits)

    def check_annotations(self, settings: RetrievalSettings, split: str, annotations: Sequence[Annotation]) -> None:
        """Raise IncompatibleError for a language without captions, and where one is to be chosen."""
        check_language(settings.language, split, annotations)

    def for_model(self, settings: RetrievalSettings, info: EncoderInfo) -> RetrievalSettings:
        """Raise IncompatibleError for a model of fewer dimensions than are to be kept."""
        check_dimensions(settings.embedding, settings.layer, info)
        return settings

    def score(self, settings: RetrievalSettings, inputs: Inputs) -> Scores:
        """Intervals are over images, since captions of one image are not independent.

        Raises DataError without captions.
        """
        return beside_full_precision(self._score, settings, inputs, inputs.images["test"])

    def _score(self, settings: RetrievalSettings, inputs: Inputs) -> Scores:
        captions = captions_by_language(settings.language, inputs)
        if settings.language != MACRO:
            ((language, texts),) = captions.items()
            found = searched(settings, inputs, texts)
            metrics = [measure(name, found.samples, inputs.seed, n, m) for name, n, m in found.counts(settings)]
            own = {"language": language} if inputs.annotations else {}
            return Scores(metrics, settings.primary, found.samples, {**found.details, **own})
        by_language = {str(language): searched(settings, inputs, texts) for language, texts in captions.items()}
        return mean_of_languages(settings, inputs, by_language)
