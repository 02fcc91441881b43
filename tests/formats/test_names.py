"""What names and first bytes say."""

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax.formats import names


@pytest.mark.parametrize(
  ("name", "expected"),
  [
    ("p1_T2w_seg-manual.nii.gz", True),
    ("mask_case1.nii.gz", True),
    ("p1_T2w_labels-disc.nii.gz", True),
    ("sub-1_T2w_label-SC_seg.nii", True),
    ("sub-1_dseg.NII.GZ", True),
    ("p1_probseg.nii", True),
    ("p1_T2w_pred.nii", True),
    ("p1_T2w_Segmentation.nii", True),
    ("p1_maskL5.nii.gz", True),
    ("p1-mask.nii.gz", True),
    ("p1.seg.nii.gz", True),
    ("m1_labelmap.nii.gz", True),
    ("m1_segm.nii.gz", True),
    ("m1_segmented.nii.gz", True),
    ("m1_segmented-manual.nii.gz", True),
    ("m1_segs.nii.gz", True),
    ("m1_dsegs.nii.gz", True),
    ("label-disc_m2.nii.gz", True),
    ("labels-m5.nii.gz", True),
    ("labelmap_m4.nii.gz", True),
    ("mask-case2.nii.gz", True),
    ("maskm6.nii.gz", True),
    ("MASKL5.nii.gz", True),
    ("masks01.nii.gz", True),
    ("mask2_T2w.nii.gz", True),
    ("seg3.nii.gz", True),
    ("segmentation_m3.nii.gz", True),
    ("Segmentation-m8.nii.gz", True),
    ("dseg-m7.nii.gz", True),
    ("m1_gt.nii.gz", True),
    ("m1-GT2.nii.gz", True),
    ("m1_msk.nii.gz", True),
    ("m1_roi.nii.gz", True),
    ("m1_annot.nii.gz", True),
    ("m1_T2w_manual.nii.gz", True),
    ("m1_ground_truth.nii.gz", True),
    ("p1_T2w.nii.gz", False),
    ("sub-segovia_T2w.nii.gz", False),
    ("study_segovia_T2w.nii", False),
    ("Case12_predominant.nii", False),
    ("labelle_T2w.nii", False),
    ("unmasked_T2w.nii", False),
    ("Segovia_T2w.nii.gz", False),
    ("SEGOVIA_T2w.nii.gz", False),
    ("study_SEGOVIA_T2w.nii.gz", False),
    ("manuel_T2w.nii.gz", False),
    ("manual_T2w.nii.gz", False),
    ("manual.nii.gz", False),
    ("sub-manual.nii.gz", False),
    ("sub-01_acq-manual_T2w.nii.gz", False),
    ("roi01_T2w.nii.gz", False),
    ("gt_T2w.nii.gz", False),
    ("MSK_001_T2w.nii.gz", False),
    ("p1_mgt.nii.gz", False),
    ("labelle2_T2w.nii", False),
    ("predrag-1_T2w.nii", False),
    ("pred01_T2w.nii", False),
    ("maskarade_T2w.nii.gz", False),
  ],
)
def test_masks_by_their_names(name, expected):
  assert names.looks_like_mask(name) == expected


@pytest.mark.parametrize(
  "name", ["a.nii", "a.NII", "a.nii.gz", "a.NII.GZ", "a.Nii.Gz"]
)
def test_extensions_in_any_case(name):
  assert names.is_nifti(name)
  assert names.stem_of(name) == "a"


def test_pairs_are_called_by_their_voxels(tmp_path):
  nib.save(nib.Nifti1Pair(np.ones((2, 2, 2)), np.eye(4)), tmp_path / "a.img")
  (tmp_path / "b.img").touch()
  assert names.is_image(tmp_path / "a.img")
  assert not names.is_image(tmp_path / "a.hdr")
  assert not names.is_image(tmp_path / "b.img")
  assert "without its header" in names.other_format(tmp_path / "b.img")


def test_content_that_was_not_fetched(tmp_path):
  link = tmp_path / "link.nii.gz"
  link.symlink_to("../.git/annex/objects/a/b.nii.gz")
  assert "git-annex: content not fetched" in names.unfetched(link)
  annex, lfs = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
  annex.write_text("/annex/objects/MD5E-s10--0.nii.gz\n")
  lfs.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
  assert "git-annex" in names.unfetched(annex)
  assert "Git LFS" in names.unfetched(lfs)
  (tmp_path / "loop.nii").symlink_to(tmp_path / "loop.nii")
  assert "not there" in names.unfetched(tmp_path / "loop.nii")
  nib.save(nib.Nifti1Image(np.ones((2, 2, 2)), np.eye(4)), tmp_path / "c.nii")
  assert names.unfetched(tmp_path / "c.nii") == ""


def test_half_of_a_pair_that_was_not_fetched(tmp_path):
  nib.save(nib.Nifti1Pair(np.ones((2, 2, 2)), np.eye(4)), tmp_path / "a.img")
  assert names.unfetched(tmp_path / "a.img") == ""
  (tmp_path / "a.hdr").unlink()
  (tmp_path / "a.hdr").symlink_to("../.git/annex/objects/a/a.hdr")
  for name in ("a.img", "a.hdr"):
    assert "git-annex: content not fetched" in names.unfetched(tmp_path / name)


def test_other_formats(tmp_path):
  (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
  (tmp_path / "README").write_text("text")
  told = {
    name: names.other_format(tmp_path / name)
    for name in ("IM0001", "README", "a.mha", "a.MGZ", "a.nii.gz", "a.tsv.gz")
  }
  assert told["IM0001"] == "DICOM"
  assert (told["a.mha"], told["a.MGZ"]) == ("MetaImage", "FreeSurfer")
  assert told["README"] == told["a.nii.gz"] == told["a.tsv.gz"] == ""


def test_names_that_any_system_takes():
  assert names.safe_name("M\udcfcller\t1_T2w") == "Mxfcllerx091_T2w"
  assert names.safe_name("Müller") == "Müller"
