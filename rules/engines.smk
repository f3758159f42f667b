# The installed applications: are their masters those of the native engine?

from calmasters.engines import needs_of


rule engine_check:
    """Make small masters of known frames by PixInsight or Siril, and compare them."""
    resources:
        **needs_of(SETTINGS.engine).slots,
    script:
        "../scripts/engine_check.py"
