//! The table of cables: the submarine systems, and the backbones on land that join their ends.

/// Each cable's name and, in order, the codes of the hubs that it passes
/// (`regions/src/world/hubs.rs`).
///
/// A hub stands for the landing points around it: `sjc` for those of central California, `lis` for
/// Sines, `ath` for Crete, `cai` for Suez, Alexandria and the land between them. Where a cable
/// rounds a coast, it passes a hub without landing (`alu` is the Horn of Africa), so that no leg
/// cuts through a continent. Parallel cables and branches are listed only if they shorten a line.
///
/// Sources. Under the sea: `TeleGeography`'s Submarine Cable Map
/// (<https://www.submarinecablemap.com>), systems in service. On land in the United States:
/// R. Durairajan, P. Barford, J. Sommers and W. Willinger, "`InterTubes`: A Study of the US
/// Long-haul Fiber-optic Infrastructure", SIGCOMM 2015. On land elsewhere: the main railways and
/// motorways, which backbones follow.
///
/// Left out on purpose:
/// - The land routes through Russia: the 220 ms that the article measured from Tokyo to Amsterdam
///   are too long for them.
/// - The Arctic: no cable there joins two oceans yet.
/// - The short cables from Japan to Guam (AJC, JGA North). With them the model puts Tokyo and
///   Sydney 111 ms apart, close to the 115 ms of IBM Cloud, which rents a share of them. The
///   article measured 137 ms, more than to Chicago, so its network took another route. Without
///   them the model's line turns in the Philippines and takes 155 ms.
pub(super) const CABLES: &[(&str, &str)] = &[
    // The Pacific.
    ("Pacific Crossing-1", "sea nrt sjc"),
    ("FASTER", "pdx nrt"),
    ("New Cross Pacific", "pdx nrt pus pvg tpe"),
    ("Unity", "lax nrt"),
    ("JUPITER", "lax nrt mnl"),
    ("SEA-US", "lax hnl gum"),
    ("Asia-America Gateway", "sjc hnl gum mnl hkg sgn sin"),
    ("Southern Cross", "sjc hnl nan syd"),
    ("Southern Cross NEXT", "lax syd"),
    ("Hawaiki", "pdx hnl akl syd"),
    ("Alaska United East", "anc sea"),
    ("Curie", "lax pty scl"),
    // East Asia and Australia.
    ("Australia-Japan Cable, its south", "gum syd"),
    ("Japan-Guam-Australia South", "gum bne syd"),
    ("Asia Submarine-cable Express", "nrt mnl sin"),
    ("Asia Pacific Gateway", "nrt tpe hkg sin"),
    ("EAC-C2C", "kix pus pvg tpe hkg mnl sin"),
    ("INDIGO", "sin cgk per syd"),
    ("Darwin-Jakarta-Singapore", "drw cgk"),
    ("Tasman Global Access", "akl syd"),
    // From Asia by Suez to Europe.
    ("SEA-ME-WE 5", "sin pen cmb jib jed cai cta mrs"),
    ("SEA-ME-WE 4", "pen dac maa cmb bom"),
    ("Bay of Bengal Gateway", "pen maa"),
    ("IMEWE", "bom khi dxb"),
    ("FALCON", "bom mct dxb bah"),
    ("Asia Africa Europe-1", "dxb mct sll jib jed cai ath"),
    ("SEACOM/Tata TGN-Eurasia", "bom jib jed cai"),
    ("MedNautilus", "cta ath ist tlv"),
    // Around Africa.
    (
        "2Africa, and EASSy, WACS and ACE before it",
        "jib sll mgq mba dar mnc mpm dur cpt lad los acc abj rob dss lpa lis lhr",
    ),
    ("DARE1", "mba mgq alu jib"),
    ("SAFE", "cpt dur mru pen"),
    ("SACS", "lad for"),
    // Latin America.
    ("EllaLink", "for lis"),
    ("GlobeNet", "for bda ewr"),
    ("AMX-1", "gig ssa for sju mia"),
    ("Junior", "gru gig"),
    ("Tannat", "gru eze"),
    ("South American Crossing", "scl lim pty"),
    ("MAYA-1", "ctg pty mia"),
    ("CFX-1", "ctg mia"),
    // The Atlantic.
    ("Atlantic Crossing-1", "ewr lhr ams"),
    ("Apollo", "ewr cdg"),
    ("Grace Hopper", "ewr bio"),
    ("MAREA", "orf bio"),
    ("Dunant", "orf cdg"),
    ("Amitié", "bos lhr"),
    ("AEConnect-1", "ewr dub"),
    ("HAVFRUE", "ewr cph"),
    ("EXA North and South", "bos yhz dub lhr"),
    ("IRIS", "dub kef"),
    ("DANICE", "kef cph"),
    // North America on land.
    ("Pacific coast", "yvr sea pdx sjc lax"),
    ("Northern line", "sea ord"),
    ("Overland line", "sjc slc den ord ewr"),
    ("Oregon line", "pdx slc"),
    ("Las Vegas line", "lax den dfw"),
    ("Sunset line", "lax phx dfw iah mia"),
    ("Texas to Virginia", "dfw atl iad ewr bos"),
    ("Texas to the Great Lakes", "dfw ord yyz yul yhz"),
    ("Ohio", "iad ord"),
    ("Tennessee", "ord atl mia"),
    ("Tidewater", "iad orf"),
    ("Hudson and Niagara", "yyz ewr yul bos"),
    ("Texas to Mexico", "dfw mex"),
    // Europe on land and over the narrow seas.
    ("London to the Rhine", "lhr bru fra"),
    ("Low Countries", "cdg bru ams fra"),
    ("Channel", "lhr cdg fra"),
    ("Rhone", "cdg mrs mxp"),
    ("Alps", "fra zrh mxp cta"),
    ("Spain", "cdg bio mad lis"),
    ("Mediterranean coast", "mrs mad"),
    ("Jutland", "ams cph arn hel"),
    ("Hamburg", "fra cph osl arn"),
    ("Brandenburg", "fra ber waw"),
    ("Elektra-GlobalConnect 1", "ber cph"),
    ("Danube", "fra vie bud sof ist"),
    ("Macedonia", "sof ath"),
    // Asia, Africa, Latin America and Australia on land.
    ("Tokaido", "nrt kix"),
    ("Korea", "icn pus"),
    ("China", "pek pvg hkg"),
    ("Malay Peninsula", "bkk pen kul sin"),
    ("Mekong", "bkk sgn"),
    ("India", "del bom hyd maa"),
    ("Kenya", "nbo mba"),
    ("South Africa", "dur jnb cpt"),
    ("Colombia", "bog ctg"),
    ("Andes", "eze scl"),
    ("Australia", "bne syd mel adl per"),
    ("Stuart Highway", "adl drw"),
];
