"""Entries that are not yet what they must be: to be emptied."""

AWAITED = frozenset(
  """
config/class_weights=(1.0, 1.0, -1.0, 1.0)
config/class_weights=(1.0, 2.0)
config/init_from='nowhere'
config/patch_stride=100
config/remap={'Vertebra': 'Bone'}
config/validation_fraction=0
config/whole_slice with PSANet
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
pixels/tiny_values
""".strip().splitlines()
)
