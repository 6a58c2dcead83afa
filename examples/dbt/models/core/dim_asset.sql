-- One row per category and name of an asset, byte for byte.
{{ one_per_name('asset', 'assets', 'category.id', [
    'bool_or(is_owned) as is_owned',
    'min(website) as website',
]) }}
