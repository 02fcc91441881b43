"""Entries that are not yet what they must be: to be emptied."""

AWAITED = frozenset(
  """
config/class_weights=(1.0, 1.0, -1.0, 1.0)
config/class_weights=(1.0, 2.0)
config/columns=('patient',)
config/init_from='nowhere'
config/patch_stride=100
config/remap={'Vertebra': 'Bone'}
config/validation_fraction=0
config/whole_slice with PSANet
damaged file/pair
damaged file/pair_img
damaged file/pair_without_img
damaged output/description_bytes
damaged output/description_cut
damaged output/description_empty
damaged output/description_list
damaged output/mask_cut
damaged output/sidecar_list
damaged run/config.json_bytes
damaged run/config.json_cut
damaged run/config.json_empty
damaged run/config.json_list
damaged run/environment.json_cut
damaged run/environment.json_list
damaged run/threshold_changed
damaged run/threshold_nan
damaged workdir/config.json_bytes
damaged workdir/config.json_cut
damaged workdir/config.json_empty
damaged workdir/config.json_list
damaged workdir/environment.json_cut
damaged workdir/environment.json_list
fault while reading/folder_eacces
fault while reading/image_eacces
folder/beside_p2_T2w_seg
folder/beside_p2_dseg
folder/beside_p2_label
folder/case_twin
folder/dangling
folder/device
folder/dot
folder/folder_like_image
folder/latin1_name
folder/newline
folder/other.dcm
folder/other.mgz
folder/other.mha
folder/other.nii.bz2
folder/other.nii.zip
folder/other.nrrd
folder/other_channel
folder/pipe
folder/self_link
folder/subfolder
folder/upper_case
manifest/columns_named
manifest/columns_wrong
manifest/id_case
manifest/id_newline
manifest/id_tab
manifest/row_twice
mask/none
participants.tsv/lost_zeros
participants.tsv/missing_row
participants.tsv/unmatched
pixels/tiny_values
tree/case_twin
tree/dangling
tree/dangling_mask
tree/double_run
tree/empty_folder
tree/folder_case
tree/folder_dangling
tree/latin1_name
tree/loose_image
tree/mixed_case
tree/no_anat
tree/no_image
tree/other_channel
tree/self_link
tree/upper_case
""".strip().splitlines()
)
