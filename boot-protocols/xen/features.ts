/** The feature string of a guest: elf_xen_parse_features of Xen 4.14 xen/common/libelf/libelf-dominfo.c. */

/** Bits by name: xen/include/public/features.h; the names that elf_xen_feature_names has. */
const XEN_FEATURES = {
  writable_page_tables: 0,
  writable_descriptor_tables: 1,
  auto_translated_physmap: 2,
  supervisor_mode_kernel: 3,
  pae_pgdir_above_4gb: 4,
  hvm_callback_vector: 8,
  dom0: 11,
} as const;

export type XenFeature = keyof typeof XEN_FEATURES;

const isFeature = (name: string): name is XenFeature => Object.hasOwn(XEN_FEATURES, name);

/** Characters of a name that libelf looks at; a longer one goes on as the next name. */
const NAME_LIMIT = 63;

export interface FeatureSet {
  /** One bit for each XENFEAT_*. What is required is supported as well. */
  readonly supported: number;
  readonly required: number;
  /** The first required name that Xen does not know; reading ends there. One that is not required is passed over. */
  readonly unknown?: string;
}

/** Names separated by `|`; `!` in front of one says that the kernel cannot do without it. */
export function parseFeatures(text: string): FeatureSet {
  let supported = 0;
  let required = 0;
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at, at + NAME_LIMIT);
    const bar = rest.indexOf('|');
    const name = bar < 0 ? rest : rest.slice(0, bar);
    at += bar < 0 ? rest.length : bar + 1;
    const isRequired = name.startsWith('!');
    const plain = isRequired ? name.slice(1) : name;
    if (isFeature(plain)) {
      const bit = 1 << XEN_FEATURES[plain];
      supported |= bit;
      if (isRequired) required |= bit;
    } else if (isRequired) return { supported, required, unknown: plain };
  }
  return { supported, required };
}

export const hasFeature = (set: number, feature: XenFeature): boolean =>
  (set & (1 << XEN_FEATURES[feature])) !== 0;
