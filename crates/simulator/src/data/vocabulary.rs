//! The vocabulary of the simulated account. Every text here is meant to break a careless reader.

/// Names of organizations.
pub(crate) const ORGANIZATIONS: [&str; 3] = ["Northwind Traders", "Fabrikam \"Labs\" GmbH & Co. KG", "Contoso"];

/// Names of categories: slashes, signs of URLs, emoji, and two that are equal.
pub(crate) const CATEGORIES: [&str; 8] = [
    "Tea / Coffee = 50 % off 🍵",
    "Running shoes",
    "Running shoes",
    "a=b&c?d#e%2F..",
    "  padded  ",
    "Чай и кофе",
    "שוקולד",
    "../..",
];

/// Names of assets.
pub(crate) const ASSETS: [&str; 10] = [
    "Northwind Tea",
    "Fabrikam \"Brews\"",
    "Café Ámbar",
    "Contoso/Adatum",
    "Wide World 🌍",
    "Tailspin, Inc.",
    "Лира",
    "Proseware\\Home",
    "Litware = more",
    "Alpine 100%",
];

/// Names of answer engines.
pub(crate) const MODELS: [&str; 8] =
    ["ChatGPT", "Perplexity", "Google AI Overviews", "Google Gemini", "Microsoft Copilot", "Claude", "Meta AI", "Grok"];

/// Names of regions.
pub(crate) const REGIONS: [&str; 5] = ["United States", "Deutschland", "Côte d'Ivoire", "日本", "Brasil"];

/// Names of topics.
pub(crate) const TOPICS: [&str; 6] =
    ["Green tea", "Price / value", "Délais de livraison", "\"Best of\" lists", "Nachhaltigkeit ♻️", "السعر"];

/// Names of tags.
pub(crate) const TAGS: [&str; 4] = ["launch", "q3=review", "brand, generic", "émoji 🏷️"];

/// Names of personas.
pub(crate) const PERSONAS: [&str; 4] = ["Health-minded shopper", "Einkäufer (Büro)", "Student 🎓", "Gift \"giver\""];

/// Names of themes.
pub(crate) const THEMES: [&str; 12] = [
    "Flavour",
    "Price",
    "Packaging & waste",
    "Delivery",
    "Customer service",
    "Caffeine",
    "Origin / terroir",
    "\"Organic\" label",
    "Vielfalt",
    "جودة",
    "Gift sets 🎁",
    "Brewing time",
];

/// Claims about a brand.
pub(crate) const CLAIMS: [&str; 6] = [
    "Its leaves are picked by hand.",
    "Shipping takes \"two weeks\".",
    "It is the cheapest brand.",
    "The tin is made of 100% recycled steel.",
    "Es enthält kein Koffein.",
    "It was founded in 1998\nand sold in 2019.",
];

/// Texts of prompts; `{}` is the name of the prompt's topic.
pub(crate) const PROMPTS: [&str; 12] = [
    "What is the best brand for {}?",
    "Compare the \"top 5\" brands:\n- {}\n- price\n- taste",
    "Which one would you buy, and why? 🍵👩‍🔬",
    "ما هو أفضل شاي أخضر؟ ({})",
    "Zeilen\u{2028}und Absätze\u{2029}trennen: {}?",
    "C:\\tea\\notes.txt says {}; is that true?",
    "{} under $20",
    "Ist {} das Geld wert?",
    "I have \t tabs and control \u{1} characters. {}?",
    "מהו המותג הטוב ביותר? {}",
    "最適なブランドは何ですか ({})",
    "Is {} worth it, yes/no? Answer with <b>true</b> or null.",
];

/// Searches that engines make.
pub(crate) const QUERIES: [&str; 8] = [
    "best green tea brand 2026",
    "\"green tea\" site:review.example",
    "grüner tee test",
    "tea -coffee OR matcha",
    "شاي أخضر",
    "caffeine in tea mg/100ml",
    "お茶 おすすめ",
    "cheap tea 50% off",
];

/// Cited sites and their citation category.
pub(crate) const SITES: [(&str, &str); 12] = [
    ("review.example", "earned_media"),
    ("www.northwind-tea.example", "owned"),
    ("forum.example", "social"),
    ("encyclopedia.example", "institution"),
    ("shop.example", "competitor"),
    ("news.example", "earned_media"),
    ("video.example", "social"),
    ("münchen-tee.example", "other"),
    ("university.example", "institution"),
    ("blog.tea.example", "earned_media"),
    ("fabrikam.example", "competitor"),
    ("answers.example", "other"),
];

/// Categories of citations.
pub(crate) const CITATION_CATEGORIES: [&str; 6] =
    ["earned_media", "owned", "social", "institution", "competitor", "other"];

/// Paths of pages.
pub(crate) const PATHS: [&str; 10] = [
    "/",
    "/guide",
    "/guide/",
    "/best-green-tea?utm_source=chatgpt&ref=%2Fhome",
    "/über-uns",
    "/a=b/c%20d",
    "/products/tea/green.html",
    "/blog/2026/08/10/is-it-worth-it",
    "/search?q=\"tea\"",
    "/robots.txt",
];

/// Bots: name, provider and type.
pub(crate) const BOTS: [(&str, &str, &str); 10] = [
    ("GPTBot", "openai", "ai_training"),
    ("ChatGPT-User", "openai", "ai_assistant"),
    ("OAI-SearchBot", "openai", "index"),
    ("ChatGPT Agent", "openai", "ai_agent"),
    ("ClaudeBot", "anthropic", "ai_training"),
    ("Claude-User", "anthropic", "ai_assistant"),
    ("PerplexityBot", "perplexity", "index"),
    ("Perplexity-User", "perplexity", "ai_assistant"),
    ("Googlebot", "google", "index"),
    ("Google-Extended", "google", "ai_training"),
];

/// Who sends visitors.
pub(crate) const REFERRAL_SOURCES: [&str; 8] =
    ["openai", "perplexity", "google", "microsoft", "anthropic", "other", "internal", "none"];

/// Sentences that answers are made of.
pub(crate) const SENTENCES: [&str; 16] = [
    "Northwind Tea is often recommended for its clean taste. ",
    "Reviewers call it \"the best everyday cup\" and praise the tin. ",
    "\n\n## Summary\n\n| brand | price |\n|---|---|\n| Fabrikam | $12.50 |\n\n",
    "Prices range from 3,50 € to 18 €. ",
    "1. Café Ámbar\n2. Wide World 🌍\n3. Contoso/Adatum\n\n",
    "It depends on how long you brew it 🍵🕐. ",
    "يُنصح به عادةً لمذاقه. ",
    "See [the guide](https://review.example/best-green-tea?ref=%2Fhome) for details. ",
    "This line ends with a separator\u{2028}and this paragraph\u{2029}too. ",
    "```json\n{\"brand\": \"Northwind\", \"score\": 1.0}\n```\n",
    "Back\\slashes, \ttabs and <b>tags</b> survive. ",
    "日本ではとても人気があります。",
    "data: looks like an event\n\nevent: result\n\n",
    "In short: yes, unless caffeine is a concern. ",
    "הוא נחשב לאיכותי. ",
    "Family: 👨‍👩‍👧‍👦, flag: 🏴‍☠️, combining: e\u{301}. ",
];

/// The values that a member of a nested object takes: the object's column, the member, and some of its values.
const NESTED: [(&str, &str, [&str; 2]); 7] = [
    ("group_metadata", "sentiment", ["positive", "negative"]),
    ("user", "type", ["file", "text"]),
    ("claims", "polarity", ["positive", "negative"]),
    ("content", "format", ["markdown", "html"]),
    ("recommendations", "status", ["done", "pending"]),
    ("live_generation", "status", ["queued", "running"]),
    ("tasks", "status", ["not_started", "done"]),
];

/// The values that the member `field` of objects in the column `name` takes, where they are known.
pub(crate) fn values_of(name: &str, field: &str) -> Option<[&'static str; 2]> {
    NESTED.iter().find(|(column, member, _)| *column == name && *member == field).map(|(.., values)| *values)
}
