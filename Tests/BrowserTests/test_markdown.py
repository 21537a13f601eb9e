"""The page's modules that need no server, run in a browser."""

import pytest

RENDER = """
    const [text, format, mentions] = arguments, done = arguments[arguments.length - 1];
    import('/page/markdown.js').then(({ render }) => {
        const holder = document.createElement('div');
        holder.append(render(text, { format, mentions: new Map(Object.entries(mentions)) }));
        done(holder.innerHTML);
    }, (error) => done('failed: ' + error));
"""


@pytest.fixture(scope="module")
def page(cluster, browsers):
    driver = browsers.take()
    driver.get(cluster.url)
    yield driver
    browsers.give_back(driver, cluster.url)


def render(page, text, format="markdown", mentions=None):
    return page.execute_async_script(RENDER, text, format, mentions or {})


def link(url, text=None):
    return f'<a href="{url}" title="{url}" target="_blank" rel="noopener noreferrer">{text or url}</a>'


@pytest.mark.parametrize(
    "text, html",
    [
        ("**bold** and *it* and __b__ and _i_", "<p><strong>bold</strong> and <em>it</em> and <strong>b</strong> and <em>i</em></p>"),
        ("***both***", "<p><strong><em>both</em></strong></p>"),
        ("~~gone~~ ~ ~~", "<p><del>gone</del> ~ ~~</p>"),
        ("snake_case_name 2*3*4 * a * b", "<p>snake_case_name 2*3*4 * a * b</p>"),
        ("`a < b` ``x`y``", "<p><code>a &lt; b</code> <code>x`y</code></p>"),
        ("```js\nlet a = '*x*';\n\n<b>\n```\nafter", "<pre><code>let a = '*x*';\n\n&lt;b&gt;</code></pre><p>after</p>"),
        ("> a\n> > b\nc", "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote><p>c</p>"),
        ("- a\n- b\n  - c", "<ul><li><p>a</p></li><li><p>b</p><ul><li><p>c</p></li></ul></li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li><p>a</p></li><li><p>b</p></li></ol>'),
        ("one\ntwo\n\nthree", "<p>one<br>two</p><p>three</p>"),
        ("[a *b*](https://x.org/(c))", f'<p>{link("https://x.org/(c)", "a <em>b</em>")}</p>'),
        ("(see https://x.org/a_(b)).", f'<p>(see {link("https://x.org/a_(b)")}).</p>'),
        ("**https://x.org/**", f'<p><strong>{link("https://x.org/")}</strong></p>'),
        (r"\*not\* \_this\_", "<p>*not* _this_</p>"),
        (r"use \`` here and \```js", "<p>use `` here and ```js</p>"),
    ],
)
def test_what_it_makes(page, text, html):
    assert render(page, text) == html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](vbscript:x) [y](file:///etc/passwd) [z](//evil.example)",
        '[x](https://a.b/"onmouseover="alert(1))',
        "[<img src=x onerror=alert(1)>](https://a.b)",
        "`<svg onload=alert(1)>`",
        "```<iframe>\n<iframe src=javascript:alert(1)>\n```",
        "> <object data=x>\n- <embed>",
        "[a](https://a.b\njavascript:alert(1))",
        "@<b>x</b> @ada<b>",
    ],
)
def test_no_markup_of_a_message_reaches_the_page(page, text):
    for format in ("markdown", "plain"):
        tags = page.execute_async_script(
            """const [text, format] = arguments, done = arguments[arguments.length - 1];
            import('/page/markdown.js').then(({ render }) => {
                const made = [...render(text, { format, mentions: new Map([['ada', '<i>Ada</i>']]) }).querySelectorAll('*')];
                done(made.map((node) => [node.localName, ...node.getAttributeNames().map((name) => name + '=' + node.getAttribute(name))]));
            });""",
            text, format,
        )
        for name, *attributes in tags:
            assert name in {"p", "a", "em", "strong", "code", "pre", "ul", "li", "blockquote", "br", "span"}, tags
            for attribute in attributes:
                key, value = attribute.split("=", 1)
                assert key in {"href", "title", "target", "rel", "class"}, tags
                assert key != "href" or value.startswith(("https://", "http://", "mailto:")), tags


def test_hostile_texts_take_no_time_and_no_depth(page):
    """Nesting and near-matches without end, at the longest that a message may be and four times that."""
    slow = page.execute_async_script(
        """const done = arguments[arguments.length - 1];
        import('/page/markdown.js').then(({ render, usesMarkdown }) => {
            const pieces = ['*', '**a', '*a **b ', '_a_', '[', '[a](', '![a](b', '](', '`', '`a``', '> ', '>', '- ', '  - a\\n', '1. a\\n', '~~', '~~a',
                'https://', 'http://%', 'https://a)', '(((', '\\\\', '@a', '@aaa.', '[a](https://a.b)', '***a', '```\\n', '>- ', '\\n', ' \\n> ', '<b>', '\\u202e*', '**a*'];
            const slow = [];
            const depth = (node) => { let most = 0; for (const child of node.children) most = Math.max(most, 1 + depth(child)); return most; };
            for (const piece of pieces) for (const length of [16384, 65536]) {
                const text = piece.repeat(Math.ceil(length / piece.length)).slice(0, length);
                const began = performance.now();
                usesMarkdown(text);
                const made = render(text, { format: 'markdown', mentions: new Map([['aaa', 'A']]) });
                const took = performance.now() - began;
                const letters = made.textContent.length;
                if (took > 1500 || depth(made) > 60 || letters > length) slow.push([piece, length, took, depth(made), letters]);
            }
            done(slow);
        }).catch((error) => done([String(error)]));"""
    )
    assert slow == []


def test_it_knows_what_is_markdown_and_who_is_mentioned(page):
    uses = page.execute_async_script(
        """const [texts] = arguments, done = arguments[arguments.length - 1];
        import('/page/markdown.js').then(({ usesMarkdown }) => done(texts.map(usesMarkdown)));""",
        ["hello", "see https://x.org", "two\nlines", "2 * 3 * 4", "¯\\_(ツ)_/¯", "**yes**", "- yes", "`yes`", "> yes", "[yes](https://x.org)"],
    )
    assert uses == [False] * 5 + [True] * 5
    assert render(page, "@ada. @ada, x@ada @bob", "plain", {"ada": "Ada L."}) == (
        '<span class="mention" title="Ada L.">@ada</span>. <span class="mention" title="Ada L.">@ada</span>, x@ada @bob'
    )
    found = page.execute_async_script(
        """const done = arguments[arguments.length - 1];
        Promise.all([import('/page/thread/mention-list.js'), import('/page/emoji.js')]).then(([{ mentioned }, { findEmoji, EMOJI }]) => done([
            mentioned('@ada. and (@bob-x) not me@cy.org @dorax', ['ada', 'bob-x', 'cy.org', 'dor'].map((username) => ({ username, id: username }))),
            findEmoji('rock sh')[0].emoji.map(({ sign }) => sign),
            EMOJI.flatMap(({ emoji }) => emoji).length,
            new Set(EMOJI.flatMap(({ emoji }) => emoji.map(({ sign }) => sign))).size,
        ]));"""
    )
    assert found[0] == ["ada", "bob-x"]
    assert found[1] == ["🚀"] and found[2] > 150 and found[2] == found[3]
