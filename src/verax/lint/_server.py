"""The linter as a language server: reports while a file is edited, fixes as quick fixes (`verax lint --lsp`)."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import Any

from verax import __version__
from verax.findings import InputError
from verax.lint._document import document
from verax.lint._engine import Result, checker, problem
from verax.lint._fixes import fixed
from verax.lint._outcome import Outcome
from verax.lint._output import Sources
from verax.lint._project import Project
from verax.lint._report import Fix, Report
from verax.lint._settings import Settings, settings_for
from verax.lint._targets import requirements

PAUSE = 0.1  # seconds in typing, before a text is checked
FIX_ALL = "source.fixAll.verax"


def serve() -> int:
    """Speaks the language server protocol on stdin and stdout until the editor ends it.

    Raises:
      ImportError: if pygls is not installed.
    """
    try:
        import pygls  # noqa: F401
    except ImportError as error:
        message = "verax lint --lsp needs pygls, which is not installed. Run: pip install 'verax[lsp]'"
        raise ImportError(message) from error
    server().start_io()
    return 0


def server() -> Any:
    """Returns the server, which is not started yet."""
    from lsprotocol import types
    from pygls.lsp.server import LanguageServer

    made = LanguageServer("verax", __version__, text_document_sync_kind=types.TextDocumentSyncKind.Full)

    def publish(uri: str) -> None:
        opened = made.workspace.get_text_document(uri)
        found = [_diagnostic(opened, each) for each in _outcome(opened).reports]
        shown = types.PublishDiagnosticsParams(uri=uri, diagnostics=found, version=opened.version)
        made.text_document_publish_diagnostics(shown)

    @made.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: Any) -> None:
        publish(params.text_document.uri)

    @made.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def did_change(params: Any) -> None:
        await asyncio.sleep(PAUSE)
        opened = made.workspace.text_documents.get(params.text_document.uri)
        if (
            opened is not None and opened.version == params.text_document.version
        ):  # else it was edited, or closed, since
            publish(params.text_document.uri)

    @made.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(params: Any) -> None:
        _project.cache_clear()  # other files may use what this one defines, or it has the settings
        requirements.cache_clear()
        for uri in list(made.workspace.text_documents):
            publish(uri)

    @made.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: Any) -> None:
        made.text_document_publish_diagnostics(types.PublishDiagnosticsParams(params.text_document.uri, []))

    kinds = types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix, FIX_ALL])

    @made.feature(types.TEXT_DOCUMENT_CODE_ACTION, kinds)
    def code_action(params: Any) -> list[Any]:
        opened = made.workspace.get_text_document(params.text_document.uri)
        only, wanted = params.context.only, []
        if _is_wanted(types.CodeActionKind.QuickFix, only):
            wanted += _quick_fixes(opened, params.range)
        if only and _is_wanted(FIX_ALL, only):
            wanted += _fix_all(opened)
        return wanted

    return made


def _is_wanted(kind: str, only: Any) -> bool:
    return not only or any(f"{kind}.".startswith(f"{getattr(each, 'value', each)}.") for each in only)


@functools.lru_cache(maxsize=64)
def _project(folder: str) -> tuple[Settings, Project]:
    settings = settings_for([Path(folder)])
    return settings, Project(settings.root)


def _outcome(opened: Any) -> Outcome:
    """Returns what is reported of an open file; wrong settings of its project are a report too."""
    try:
        settings, project = _project(str(Path(opened.path).parent))
    except InputError as error:
        return Outcome((problem(opened.path, f"{error}"),))
    found = document(_bytes(opened), _name(opened), markdown=settings.markdown)
    return checker(_name(opened), settings, settings.rules(), project)(found)


def _name(opened: Any) -> str:
    """Returns the name of an open file; one that is not saved yet has no end that tells its kind."""
    is_named = opened.language_id != "python" or opened.path.endswith((".py", ".pyi", ".pyw"))
    return opened.path if is_named else f"{opened.path}.py"


def _bytes(opened: Any) -> bytes:
    """Returns the text of an open file as UTF-8, whatever encoding its first lines name: an editor has decoded it."""
    return b"\xef\xbb\xbf" + opened.source.encode(errors="replace")


def _diagnostic(opened: Any, report: Report) -> Any:
    from lsprotocol import types

    severities = {
        "error": types.DiagnosticSeverity.Error,
        "warning": types.DiagnosticSeverity.Warning,
        "note": types.DiagnosticSeverity.Information,
    }
    return types.Diagnostic(
        range=_range(opened, report.line, report.column, report.end_line, report.end_column),
        message=report.message,
        severity=severities[report.level],
        code=report.code,
        source="verax",
    )


def _range(opened: Any, line: int, column: int, end_line: int, end_column: int) -> Any:
    from lsprotocol import types

    start, end = _position(opened, line, column), _position(opened, end_line, end_column)
    return types.Range(types.Position(*start), types.Position(*end))


def _position(opened: Any, line: int, column: int) -> tuple[int, int]:
    """Returns a place as the editor counts: from 0, columns in units of UTF-16 unless it agreed to others."""
    lines = opened.source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    content = lines[line - 1] if line <= len(lines) else ""
    return line - 1, opened.position_codec.client_num_units(content[: column - 1])


def _quick_fixes(opened: Any, where: Any) -> list[Any]:
    from lsprotocol import types

    found = _outcome(opened)
    sources = Sources(Result(found.reports, texts={_name(opened): _bytes(opened)}), markdown=True)
    actions = []
    for report in found.reports:
        diagnostic = _diagnostic(opened, report)
        if report.fix is None or not _meet(diagnostic.range, where):
            continue
        edits = [
            types.TextEdit(
                _range(opened, each["line"], each["column"], each["end_line"], each["end_column"]), each["text"]
            )
            for each in sources.edits(report)
        ]
        actions.append(
            types.CodeAction(
                title=_title(report, report.fix),
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[diagnostic],
                is_preferred=report.fix.safe,
                edit=types.WorkspaceEdit(changes={opened.uri: edits}),
            )
        )
    return actions


def _title(report: Report, fix: Fix) -> str:
    return f"{report.code}: {fix.title}" + ("" if fix.safe else " (changes what is computed)")


def _meet(one: Any, other: Any) -> bool:
    return _key(one.start) <= _key(other.end) and _key(other.start) <= _key(one.end)


def _key(position: Any) -> tuple[int, int]:
    return position.line, position.character


def _fix_all(opened: Any) -> list[Any]:
    """Returns the action that makes all safe fixes, as editors do it when a file is saved; none where there is none."""
    from lsprotocol import types

    settings, project = _project(str(Path(opened.path).parent))
    check = checker(_name(opened), settings, settings.rules(), project)
    change = fixed(_bytes(opened), _name(opened), check, markdown=settings.markdown)
    if change.after == change.before:
        return []
    lines = opened.source.count("\n") + opened.source.count("\r") + 1
    whole = types.Range(types.Position(0, 0), types.Position(lines, 0))
    edit = types.TextEdit(whole, change.after.decode("utf-8-sig"))
    changes = types.WorkspaceEdit(changes={opened.uri: [edit]})
    return [types.CodeAction(title="Mend all that is safe", kind=FIX_ALL, edit=changes)]
