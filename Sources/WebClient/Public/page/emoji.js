// Common emoji with the words that one looks for them by. The first word is the name.

/** What a reaction most often is. */
export const QUICK = ['👍', '❤️', '😂', '😮', '😢', '🙏'];

const GROUPS = {
  Smileys: `😀 grin happy|😃 smile happy joy|😄 laugh happy|😁 beam teeth|😆 haha laugh|😅 sweat relief|😂 tears laugh joy|🤣 rofl floor laugh
    |🙂 slight smile|🙃 upside down|😉 wink|😊 blush shy|😇 angel halo|🥰 adore hearts love|😍 heart eyes love|🤩 star struck wow|😘 kiss|😋 yum tasty
    |😜 tongue joke|🤪 zany crazy|🤗 hug|🤭 giggle oops|🤫 hush quiet|🤔 think hmm|🤨 doubt eyebrow|😐 neutral|😑 blank expressionless|😏 smirk
    |😒 unamused|🙄 roll eyes|😬 grimace awkward|😌 relieved calm|😔 pensive sad|😴 sleep tired|🤤 drool|😷 mask ill|🤒 fever ill|🤢 sick nausea
    |🤧 sneeze cold|🥵 hot|🥶 cold freezing|😵 dizzy|🤯 mind blown|🥳 party celebrate|😎 cool sunglasses|🤓 nerd glasses|😕 confused|😟 worried
    |🙁 frown sad|😮 open mouth wow surprised|😲 astonished|😳 flushed embarrassed|🥺 pleading please|😨 fear scared|😰 anxious|😢 cry sad tear
    |😭 sob cry loud|😱 scream shock|😤 huff steam|😡 angry rage|🤬 swear curse|💀 skull dead|💩 poop|🤡 clown|👻 ghost|🤖 robot|🙈 monkey see no evil`,
  People: `👍 thumbs up yes good like|👎 thumbs down no bad|👌 ok fine|✌️ victory peace|🤞 fingers crossed luck|🤘 rock|👈 left point|👉 right point|👆 up point
    |👇 down point|👋 wave hello bye|🖐️ hand five|👏 clap applause|🙌 hooray hands|👐 open hands|🤝 handshake deal|🙏 thanks please pray|💪 strong muscle
    |✍️ write|🤷 shrug|🤦 facepalm|🙋 raise hand me|👀 eyes look|🧠 brain|👶 baby|👩‍💻 developer woman computer|👨‍💻 developer man computer|🏃 run`,
  Hearts: `❤️ heart love red|🧡 orange heart|💛 yellow heart|💚 green heart|💙 blue heart|💜 purple heart|🖤 black heart|💔 broken heart|💕 two hearts|💯 hundred perfect
    |✨ sparkles|⭐ star|🔥 fire hot lit|💥 boom|⚡ lightning fast|🎉 tada party celebrate|🎊 confetti|🎁 gift present|🎂 cake birthday|🏆 trophy win`,
  Nature: `☀️ sun|🌤️ sun cloud|🌧️ rain|❄️ snow|🌈 rainbow|🌊 wave sea|🌱 seedling plant|🌳 tree|🌸 blossom flower|🌹 rose|🐶 dog|🐱 cat|🐭 mouse|🐻 bear|🐼 panda
    |🦊 fox|🐸 frog|🐔 chicken rooster|🐦 bird|🦉 owl|🐝 bee|🐛 bug|🦋 butterfly|🐢 turtle|🐟 fish|🐳 whale`,
  Food: `🍎 apple|🍌 banana|🍓 strawberry|🍋 lemon|🍉 melon|🍞 bread|🧀 cheese|🍕 pizza|🍔 burger|🍟 fries|🍣 sushi|🍜 noodles soup|🍪 cookie|🍫 chocolate|🍦 ice cream
    |☕ coffee|🍵 tea|🍺 beer|🍷 wine|🥂 cheers`,
  Things: `✅ check done yes|❌ cross no wrong|⚠️ warning|❓ question|❗ exclamation|💡 idea bulb|🔧 wrench fix|🔨 hammer build|🔒 lock|🔑 key|📌 pin|📎 paperclip|📅 calendar date
    |📈 chart up|📉 chart down|📝 note memo|📚 books|💻 laptop computer|📱 phone|📷 camera|🎵 music|⏰ alarm clock|⏳ hourglass wait|🚀 rocket launch ship|🚗 car|🚲 bicycle|🚆 train
    |✈️ plane travel|🏠 home house|💰 money`,
};

/** [{name, emoji: [{sign, words}]}] */
export const EMOJI = Object.entries(GROUPS).map(([name, list]) => ({
  name,
  emoji: list.split('|').map((entry) => {
    const [sign, ...words] = entry.trim().split(' ');
    return { sign, words: words.join(' ') };
  }),
}));

const WORDS = new Map(EMOJI.flatMap(({ emoji }) => emoji.map(({ sign, words }) => [sign, words])));

/** What an emoji is called, for those who do not see it. */
export function emojiName(sign) {
  return WORDS.get(sign) ?? sign;
}

/** The groups with only the emoji that have a word beginning with each word of `text`. */
export function findEmoji(text) {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = ({ words }) => wanted.every((word) => words.split(' ').some((known) => known.startsWith(word)));
  return EMOJI.map(({ name, emoji }) => ({ name, emoji: emoji.filter(fits) })).filter(({ emoji }) => emoji.length > 0);
}
