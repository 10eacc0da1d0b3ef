from modal_pretrain import compat

compat.apply()
